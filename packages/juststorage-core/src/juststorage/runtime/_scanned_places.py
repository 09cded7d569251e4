"""ScannedPlaces: what a store with generations has, by content, however much that is."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from juststorage.domain import ContentHash, Locator
from juststorage.errors import Misconfigured
from juststorage.ports import BlobStore
from juststorage.usecases import Place, Places, upload_id_of

__all__ = ["ScannedPlaces"]

_PAGE = 1000


class ScannedPlaces(Places):
    """Walks the store once, and remembers in a file that nobody sees.

    SQLite deletes it by itself: a backup of a hundred million blobs must not need their names in
    memory.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        # The empty name is a database of its own in a temporary file, kept in memory while small.
        self._db = sqlite3.connect("", isolation_level=None)
        self._db.execute(
            "CREATE TABLE places (upload_id TEXT PRIMARY KEY, locator TEXT, size_bytes INTEGER)"
            " WITHOUT ROWID"
        )

    async def learn(self) -> None:
        after: Locator | None = None
        while page := await self._store.scan(after=after, limit=_PAGE):
            after = page[-1].locator
            rows = []
            for placed in page:
                upload_id = placed.upload_id
                if placed.content_hash is not None:
                    upload_id = upload_id_of(placed.content_hash)
                if upload_id is None:
                    raise Misconfigured(
                        "this blob store cannot hold backups: its names tell neither what is in"
                        " them nor who placed it"
                    )
                rows.append((upload_id, placed.locator, placed.size_bytes))
            self._db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", rows)

    async def find(self, hashes: Sequence[ContentHash]) -> dict[ContentHash, Place]:
        found: dict[ContentHash, Place] = {}
        for content_hash in hashes:
            row = self._db.execute(
                "SELECT locator, size_bytes FROM places WHERE upload_id = ?",
                (upload_id_of(content_hash),),
            ).fetchone()
            if row is not None:
                found[content_hash] = Place(*row)
        return found

    async def add(self, content_hash: ContentHash, place: Place) -> None:
        self._db.execute(
            "INSERT OR REPLACE INTO places VALUES (?, ?, ?)",
            (upload_id_of(content_hash), place.locator, place.size_bytes),
        )

    def close(self) -> None:
        """Forget it all."""
        self._db.close()
