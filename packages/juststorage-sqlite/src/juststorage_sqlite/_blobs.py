"""The blob repository: which step runs where."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

from juststorage.domain import Blob, BlobKey, Locator, StorageClass
from juststorage.ports import BlobRepository, CountDrift, Removal
from juststorage_sqlite import _garbage
from juststorage_sqlite._reader import Reader
from juststorage_sqlite._rows import BLOB_COLUMNS, blob_of, keys_json, names_json
from juststorage_sqlite._writer import Writer

__all__ = ["SqliteBlobRepository"]


class SqliteBlobRepository(BlobRepository):
    """See `BlobRepository`."""

    def __init__(self, writer: Writer, reader: Reader) -> None:
        self._writer = writer
        self._reader = reader

    async def find(self, keys: Collection[BlobKey]) -> dict[BlobKey, Blob]:
        return await self._reader.run(lambda db: _find(db, keys))

    async def locators_in_use(
        self, storage_class: StorageClass, locators: Collection[Locator]
    ) -> set[Locator]:
        return await self._reader.run(lambda db: _in_use(db, storage_class, locators))

    async def claim(
        self,
        *,
        grace_s: float,
        claim_s: float,
        limit: int,
        agree: Callable[[Blob, datetime], bool],
        after: Blob | None = None,
    ) -> list[Blob]:
        async with self._writer.session() as session:
            found, asked_at = await session.run(
                lambda db, now: _garbage.candidates(db, now, grace_s, limit, after)
            )
            # Here and not in the thread: what the policy touches belongs to the event loop.
            claimed = list(islice((blob for blob in found if agree(blob, asked_at)), limit))
            await session.run(lambda db, now: _garbage.mark_claimed(db, now, claimed, claim_s))
        return claimed

    async def remove(
        self,
        claimed: Sequence[BlobKey],
        move: Callable[[Sequence[Blob]], Awaitable[Collection[BlobKey]]],
    ) -> Removal:
        async with self._writer.session() as session:
            locked = await session.run(lambda db, now: _garbage.lock_for_removal(db, now, claimed))
            moved: set[BlobKey] = set()
            if locked.going:
                # The one await inside a transaction: nobody writes meanwhile, so nobody can count
                # on these blobs before their rows are gone (R02).
                moved = {blob.key for blob in locked.going} & set(await move(locked.going))
            await session.run(lambda db, now: _garbage.finish_removal(db, now, moved))
        return Removal(
            removed=[blob for blob in locked.going if blob.key in moved],
            taken_back=locked.taken_back,
            failed=[blob.key for blob in locked.going if blob.key not in moved],
        )

    async def adopt(self, key: BlobKey, *, size_bytes: int, locator: Locator) -> bool:
        return await self._writer.run(
            lambda db, now: _garbage.adopt(db, now, key, size_bytes, locator)
        )

    async def distrust(self, key: BlobKey) -> None:
        await self._writer.run(lambda db, now: _garbage.distrust(db, key))

    async def confirm(self, blob: Blob, locator: Locator) -> bool:
        return await self._writer.run(lambda db, now: _garbage.confirm(db, now, blob, locator))

    async def scan(self, *, after: BlobKey | None, limit: int) -> list[Blob]:
        return await self._reader.run(lambda db: _scan(db, after, limit))

    async def recount(self, keys: Collection[BlobKey], *, repair: bool) -> list[CountDrift]:
        return await self._writer.run_alone(lambda db, now: _garbage.recount(db, now, keys, repair))


_COLUMNS_OF_B: Final = ", ".join(f"b.{column}" for column in BLOB_COLUMNS.split(", "))
_FIND: Final = f"SELECT {_COLUMNS_OF_B} FROM {_garbage.OF_KEYS}"
_IN_USE: Final = (
    "SELECT locator FROM blobs WHERE storage_class = ?1"
    " AND locator IN (SELECT value FROM json_each(?2))"
)
_SCAN: Final = (
    f"SELECT {BLOB_COLUMNS} FROM blobs WHERE (content_hash, storage_class) > (?1, ?2)"
    " ORDER BY content_hash, storage_class LIMIT ?3"
)


def _find(db: sqlite3.Connection, keys: Collection[BlobKey]) -> dict[BlobKey, Blob]:
    blobs = (blob_of(row) for row in db.execute(_FIND, (keys_json(keys),)))
    return {blob.key: blob for blob in blobs}


def _in_use(
    db: sqlite3.Connection, storage_class: StorageClass, locators: Collection[Locator]
) -> set[Locator]:
    rows = db.execute(_IN_USE, (storage_class, names_json(set(locators))))
    return {locator for (locator,) in rows}


def _scan(db: sqlite3.Connection, after: BlobKey | None, limit: int) -> list[Blob]:
    edge = ("", "") if after is None else (after.content_hash, after.storage_class)
    return [blob_of(row) for row in db.execute(_SCAN, (*edge, limit))]
