"""The blob repository: counts, and how garbage is claimed and removed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Final

from juststorage.domain import Blob, BlobKey, Locator, StorageClass
from juststorage.ports import BlobRepository, CountDrift, Removal
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._rows import blob_of
from juststorage_postgres._schema import blobs, columns
from juststorage_postgres._work import LOCK_BLOBS

__all__ = ["PostgresBlobRepository"]

_LOOKED_AT_PER_CLAIM: Final = 10
_LONG_AGO: Final = datetime(1, 1, 2, tzinfo=UTC)

_KEYS: Final = "unnest($1::text[], $2::text[]) AS k (content_hash, storage_class)"

_FIND: Final = f"""
SELECT {columns(blobs, "b.")} FROM {_KEYS} JOIN blobs b USING (content_hash, storage_class)"""  # noqa: S608

_LOCATORS: Final = """
SELECT locator FROM blobs WHERE storage_class = $1 AND locator = ANY ($2::text[])"""

# Planned without a sort, or with one of rows of equal zero_since: the planner expects one row where
# there are many, and would read and sort all of a backlog for every batch.
ALONG_THE_INDEX: Final = "SET LOCAL enable_sort = off"

# Not locked yet: a lock is written to the page, and a policy may keep a million of these for long.
# The bound on zero_since alone, besides that on the whole, is the one that the index knows.
CANDIDATES: Final = f"""
SELECT {columns(blobs)}, clock_timestamp() AS now FROM blobs
WHERE zero_since IS NOT NULL AND ref_count = 0
    AND zero_since <= clock_timestamp() - make_interval(secs => $1)
    AND (claimed_until IS NULL OR claimed_until <= clock_timestamp())
    AND zero_since >= $3 AND (zero_since, content_hash, storage_class) > ($3, $4, $5)
ORDER BY zero_since, content_hash, storage_class
LIMIT $2"""  # noqa: S608

# Asked for after the candidates, never before: what a snapshot names and those show as garbage was
# deleted after that snapshot, and its hold is older. Not in their statement, which would be planned
# for a narrow range then, and sorted.
_HELD_SINCE: Final = """
SELECT min(since) FROM holds WHERE expires_at IS NULL OR expires_at > clock_timestamp()"""

# What has changed since the look is none of our business any more. Rows that someone holds are
# skipped, so this waits for nobody and no deadlock can come of an order of locks that is not that
# of the keys. LATERAL with a lock, and IS TRUE: one look by the primary key for each, whatever the
# planner makes of it.
CLAIM: Final = """
WITH picked AS MATERIALIZED (
    SELECT b.content_hash, b.storage_class
    FROM unnest($1::text[], $2::text[], $3::timestamptz[])
        AS k (content_hash, storage_class, zero_since)
    CROSS JOIN LATERAL (
        SELECT b.content_hash, b.storage_class FROM blobs b
        WHERE b.content_hash = k.content_hash AND b.storage_class = k.storage_class
            AND b.ref_count = 0 AND (b.zero_since = k.zero_since) IS TRUE
            AND (b.claimed_until IS NULL OR b.claimed_until <= clock_timestamp())
        FOR UPDATE SKIP LOCKED
    ) AS b
)
UPDATE blobs b SET
    stored_at = NULL, claimed_until = clock_timestamp() + make_interval(secs => $4)
FROM picked p
WHERE b.content_hash = p.content_hash AND b.storage_class = p.storage_class
RETURNING b.content_hash, b.storage_class"""

# The look that drift cannot fool. A statement of its own: it begins once the rows are locked, so it
# sees every reference that was taken before; none can be taken while they are.
HOLDERS: Final = f"""
SELECT k.content_hash, k.storage_class, h.holders
FROM {_KEYS} CROSS JOIN LATERAL (
    SELECT count(*) AS holders FROM objects o
    WHERE o.blob_hash = k.content_hash AND o.storage_class = k.storage_class
) AS h"""  # noqa: S608

_DROP_CLAIMS: Final = f"""
UPDATE blobs b SET claimed_until = NULL FROM {_KEYS}
WHERE b.content_hash = k.content_hash AND b.storage_class = k.storage_class"""  # noqa: S608

_DELETE: Final = f"""
DELETE FROM blobs b USING {_KEYS}
WHERE b.content_hash = k.content_hash AND b.storage_class = k.storage_class"""  # noqa: S608

# Objects are locked before blobs everywhere else; here the blobs are locked already. Who holds an
# object may be waiting for one of them, so objects that are held are left to the next `bury`.
# Locked, a row stays DELETING; were that asked for once more below, the planner could walk through
# all that are, for every batch.
_BURY: Final = f"""
WITH dead AS MATERIALIZED (
    SELECT o.id FROM {_KEYS} CROSS JOIN LATERAL (
        SELECT o.id FROM objects o
        WHERE o.status = 'DELETING'
            AND o.content_hash = k.content_hash AND o.storage_class = k.storage_class
        FOR UPDATE SKIP LOCKED
    ) AS o
)
UPDATE objects o SET status = 'DELETED', updated_at = clock_timestamp()
FROM dead WHERE o.id = dead.id"""  # noqa: S608

_DISTRUST: Final = """
UPDATE blobs SET stored_at = NULL WHERE content_hash = $1 AND storage_class = $2"""

# An object that is on its way to COMMITTED or from it holds the row's lock, or waits for ours.
_CONFIRM: Final = """
UPDATE blobs b SET stored_at = clock_timestamp(), locator = $4
WHERE b.content_hash = $1 AND b.storage_class = $2 AND b.first_seen_at = $3
    AND b.stored_at IS NULL
    AND (b.claimed_until IS NULL OR b.claimed_until <= clock_timestamp())
    AND EXISTS (
        SELECT 1 FROM objects o
        WHERE o.blob_hash = b.content_hash AND o.storage_class = b.storage_class
            AND o.status = 'COMMITTED'
    )
RETURNING 1"""

_ADOPT: Final = """
INSERT INTO blobs (
    content_hash, storage_class, size_bytes, ref_count, locator, zero_since, first_seen_at
)
SELECT $1, $2, $3, 0, $4, at, at FROM clock_timestamp() AS at
ON CONFLICT (content_hash, storage_class) DO NOTHING RETURNING 1"""

_SCAN: Final = f"""
SELECT {columns(blobs)} FROM blobs
WHERE $1::text IS NULL OR (content_hash, storage_class) > ($1, $2::text)
ORDER BY content_hash, storage_class LIMIT $3"""  # noqa: S608

_RECOUNT: Final = """
UPDATE blobs b SET
    ref_count = k.ref_count,
    zero_since = CASE WHEN k.ref_count = 0 THEN clock_timestamp() END
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS k (content_hash, storage_class, ref_count)
WHERE b.content_hash = k.content_hash AND b.storage_class = k.storage_class"""


class PostgresBlobRepository(BlobRepository):
    """See `BlobRepository`."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def find(self, keys: Collection[BlobKey]) -> dict[BlobKey, Blob]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_FIND, *_arrays(set(keys)))
        return {blob.key: blob for blob in map(blob_of, rows)}

    async def locators_in_use(
        self, storage_class: StorageClass, locators: Collection[Locator]
    ) -> set[Locator]:
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_LOCATORS, storage_class, list(locators))
        return {row["locator"] for row in rows}

    # -- collect ------------------------------------------------------------------------------

    async def claim(
        self,
        *,
        grace_s: float,
        claim_s: float,
        limit: int,
        agree: Callable[[Blob, datetime], bool],
        after: Blob | None = None,
    ) -> list[Blob]:
        async def run(connection: Connection) -> list[Blob]:
            agreed: list[Blob] = []
            edge = _edge(after)
            await connection.execute(ALONG_THE_INDEX)
            for _ in range(_LOOKED_AT_PER_CLAIM):
                rows = await connection.fetch(CANDIDATES, float(grace_s), limit, *edge)
                held_since = await connection.fetchval(_HELD_SINCE) if rows else None
                for row in rows:
                    if held_since is not None and row["zero_since"] >= held_since:
                        break
                    blob = blob_of(row)
                    if len(agreed) < limit and agree(blob, row["now"]):
                        agreed.append(blob)
                if len(rows) < limit or len(agreed) == limit:
                    break
                last = rows[-1]
                edge = (last["zero_since"], last["content_hash"], last["storage_class"])
            if not agreed:
                return []
            claimed = await connection.fetch(
                CLAIM,
                *_arrays([blob.key for blob in agreed]),
                [blob.zero_since for blob in agreed],
                float(claim_s),
            )
            keys = {(row["content_hash"], row["storage_class"]) for row in claimed}
            return [
                blob
                for blob in agreed
                if (str(blob.key.content_hash), str(blob.key.storage_class)) in keys
            ]

        return await self._pool.attempt(run)

    async def remove(
        self,
        claimed: Sequence[BlobKey],
        move: Callable[[Sequence[Blob]], Awaitable[Collection[BlobKey]]],
    ) -> Removal:
        # Not attempted again: by then `move` has moved files.
        async with self._pool.transaction() as connection:
            known = await _lock(connection, claimed)
            held = await _holders(connection, [blob.key for blob in known])
            going = [
                blob
                for blob in known
                if blob.claimed_until is not None and blob.ref_count == 0 and not held[blob.key]
            ]
            going_keys = {blob.key for blob in going}
            taken_back = [blob.key for blob in known if blob.key not in going_keys]
            if taken_back:
                await connection.execute(_DROP_CLAIMS, *_arrays(taken_back))
            # Uploads of these bytes wait for our locks from here to COMMIT.
            moved = set(await move(going)) & going_keys if going else set()
            if moved:
                await connection.execute(_DELETE, *_arrays(moved))
                await connection.execute(_BURY, *_arrays(moved))
        return Removal(
            [blob for blob in going if blob.key in moved],
            taken_back,
            [blob.key for blob in going if blob.key not in moved],
        )

    async def adopt(self, key: BlobKey, *, size_bytes: int, locator: Locator) -> bool:
        async def run(connection: Connection) -> bool:
            made = await connection.fetchval(
                _ADOPT, key.content_hash, key.storage_class, size_bytes, locator
            )
            return made is not None

        return await self._pool.attempt(run, single=True)

    async def distrust(self, key: BlobKey) -> None:
        async def run(connection: Connection) -> None:
            await connection.execute(_DISTRUST, key.content_hash, key.storage_class)

        await self._pool.attempt(run, single=True)

    async def confirm(self, blob: Blob, locator: Locator) -> bool:
        async def run(connection: Connection) -> bool:
            key = blob.key
            done = await connection.fetchval(
                _CONFIRM, key.content_hash, key.storage_class, blob.first_seen_at, locator
            )
            return done is not None

        return await self._pool.attempt(run, single=True)

    # -- audit --------------------------------------------------------------------------------

    async def scan(self, *, after: BlobKey | None, limit: int) -> list[Blob]:
        edge = (None, None) if after is None else (after.content_hash, after.storage_class)
        async with self._pool.connection() as connection:
            rows = await connection.fetch(_SCAN, *edge, limit)
        return [blob_of(row) for row in rows]

    async def recount(self, keys: Collection[BlobKey], *, repair: bool) -> list[CountDrift]:
        async def run(connection: Connection) -> list[CountDrift]:
            known = await _lock(connection, keys)
            actual = await _holders(connection, [blob.key for blob in known])
            drifts = [
                CountDrift(blob.key, blob.ref_count, actual[blob.key])
                for blob in known
                if blob.ref_count != actual[blob.key]
            ]
            if repair and drifts:
                counts = [drift.actual for drift in drifts]
                await connection.execute(
                    _RECOUNT, *_arrays([drift.key for drift in drifts]), counts
                )
            return drifts

        return await self._pool.attempt(run)


async def _lock(connection: Connection, keys: Collection[BlobKey]) -> list[Blob]:
    """Lock the rows in the order of their keys; those that are there."""
    return [blob_of(row) for row in await connection.fetch(LOCK_BLOBS, *_arrays(set(keys)))]


async def _holders(connection: Connection, keys: Sequence[BlobKey]) -> dict[BlobKey, int]:
    """How many objects hold each of these locked blobs."""
    if not keys:
        return {}
    counts = await connection.fetch(HOLDERS, *_arrays(keys))
    by_text = {(row["content_hash"], row["storage_class"]): row["holders"] for row in counts}
    return {key: by_text[str(key.content_hash), str(key.storage_class)] for key in keys}


def _edge(after: Blob | None) -> tuple[datetime, str, str]:
    """Where the look begins: behind this one, or before all."""
    if after is None:
        return _LONG_AGO, "", ""
    assert after.zero_since is not None, "a candidate has no references"
    return after.zero_since, after.key.content_hash, after.key.storage_class


def _arrays(keys: Collection[BlobKey]) -> tuple[list[str], list[str]]:
    return [key.content_hash for key in keys], [key.storage_class for key in keys]
