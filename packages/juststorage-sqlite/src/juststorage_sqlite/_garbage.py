"""What happens to blobs beside uploads, as functions of a transaction."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Final

import msgspec

from juststorage.domain import Blob, BlobKey, Locator
from juststorage.ports import CountDrift
from juststorage_sqlite._rows import (
    BLOB_COLUMNS,
    blobs_and_holders_of,
    blobs_of,
    json_rows,
    keys_json,
)
from juststorage_sqlite._times import from_micros, micros, to_micros

__all__ = [
    "OF_KEYS",
    "Locked",
    "adopt",
    "candidates",
    "confirm",
    "distrust",
    "finish_removal",
    "lock_for_removal",
    "mark_claimed",
    "recount",
]

_LOOKED_AT_PER_CLAIM: Final = 10
_LONG_AGO: Final = -(2**62)

OF_KEYS: Final = (
    "json_each(?1) AS keys CROSS JOIN blobs AS b"
    " ON b.content_hash = json_extract(keys.value, '$[0]')"
    " AND b.storage_class = json_extract(keys.value, '$[1]')"
)
"""The rows `b` of the keys in `keys_json`, in their order."""

_HOLDERS: Final = (
    "(SELECT count(*) FROM objects o"
    " WHERE o.blob_hash = b.content_hash AND o.storage_class = b.storage_class)"
)
_HELD_SINCE: Final = (
    "coalesce((SELECT min(since) FROM holds WHERE expires_at IS NULL OR expires_at > ?2),"
    " 9223372036854775807)"
)
"""What has been garbage for longer is in no hold that runs at ?2."""
_GARBAGE: Final = json_rows(
    BLOB_COLUMNS,
    f"SELECT {BLOB_COLUMNS} FROM blobs WHERE ref_count = 0 AND zero_since <= ?1"
    " AND (claimed_until IS NULL OR claimed_until <= ?2)"
    f" AND zero_since < {_HELD_SINCE}"
    " AND (zero_since, content_hash, storage_class) > (?4, ?5, ?6)"
    " ORDER BY zero_since, content_hash, storage_class LIMIT ?3",
)
_IN_KEYS: Final = (
    "(content_hash, storage_class) IN (SELECT json_extract(value, '$[0]'),"
    " json_extract(value, '$[1]') FROM json_each(?1))"
)
_CLAIM: Final = f"UPDATE blobs SET stored_at = NULL, claimed_until = ?2 WHERE {_IN_KEYS}"


def candidates(
    db: sqlite3.Connection, now: int, grace_s: float, limit: int, after: Blob | None
) -> tuple[list[Blob], datetime]:
    """Garbage that may be claimed, the oldest first, and the time that it was looked at."""
    edge: tuple[int, str, str] = (_LONG_AGO, "", "")
    if after is not None:
        assert after.zero_since is not None, "a candidate has no references"
        edge = (to_micros(after.zero_since), after.key.content_hash, after.key.storage_class)
    values = (now - micros(grace_s), now, limit * _LOOKED_AT_PER_CLAIM, *edge)
    (found,) = db.execute(_GARBAGE, values).fetchone()
    return blobs_of(found), from_micros(now)


def mark_claimed(db: sqlite3.Connection, now: int, claimed: Sequence[Blob], claim_s: float) -> None:
    """Claim: who reserves such a blob from here on places bytes of its own."""
    if claimed:
        db.execute(_CLAIM, (keys_json(blob.key for blob in claimed), now + micros(claim_s)))


# -- removal ----------------------------------------------------------------------------------


class Locked(msgspec.Struct, frozen=True):
    """The rows of a batch: what may go, and what may not after all."""

    going: list[Blob]
    taken_back: list[BlobKey]


_FOR_REMOVAL: Final = json_rows(
    "content_hash, storage_class, size_bytes, ref_count, locator, stored_at, zero_since,"
    " claimed_until, first_seen_at, last_used_at, holders",
    f"SELECT b.*, {_HOLDERS} AS holders FROM {OF_KEYS}",
)
_UNCLAIM: Final = f"UPDATE blobs SET claimed_until = NULL WHERE {_IN_KEYS}"


def lock_for_removal(db: sqlite3.Connection, now: int, claimed: Sequence[BlobKey]) -> Locked:
    """Look again, in the transaction that will remove: counts may have drifted, claims be gone."""
    (found,) = db.execute(_FOR_REMOVAL, (keys_json(claimed),)).fetchone()
    going: list[Blob] = []
    taken_back: list[BlobKey] = []
    for blob, holders in blobs_and_holders_of(found):
        if blob.ref_count == 0 and holders == 0 and blob.claimed_until is not None:
            going.append(blob)
        else:
            taken_back.append(blob.key)
    if taken_back:
        db.execute(_UNCLAIM, (keys_json(taken_back),))
    return Locked(going, taken_back)


_REMOVE: Final = f"DELETE FROM blobs WHERE {_IN_KEYS}"
_BURY_OF: Final = (
    f"UPDATE objects SET status = 'DELETED', updated_at = ?2 WHERE status = 'DELETING'"
    f" AND {_IN_KEYS}"
)


def finish_removal(db: sqlite3.Connection, now: int, moved: Collection[BlobKey]) -> None:
    """Delete the rows of blobs whose bytes were moved, and bury what was deleted with them."""
    if moved:
        keys = keys_json(moved)
        db.execute(_REMOVE, (keys,))
        db.execute(_BURY_OF, (keys, now))


# -- repair -----------------------------------------------------------------------------------

_ADOPT: Final = (
    "INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, locator, zero_since,"
    " first_seen_at) VALUES (?1, ?2, ?3, 0, ?4, ?5, ?5)"
    " ON CONFLICT (content_hash, storage_class) DO NOTHING"
)


def adopt(
    db: sqlite3.Connection, now: int, key: BlobKey, size_bytes: int, locator: Locator
) -> bool:
    """A row for a file that has none.

    stored_at stays NULL: who placed the file may have died before syncing it (R15).
    """
    values = (key.content_hash, key.storage_class, size_bytes, locator, now)
    return db.execute(_ADOPT, values).rowcount == 1


_DISTRUST: Final = (
    "UPDATE blobs SET stored_at = NULL WHERE content_hash = ?1 AND storage_class = ?2"
)


def distrust(db: sqlite3.Connection, key: BlobKey) -> None:
    """The next upload of these bytes places its own copy."""
    db.execute(_DISTRUST, (key.content_hash, key.storage_class))


_CONFIRM: Final = (
    "UPDATE blobs SET stored_at = ?1, locator = ?2"
    " WHERE content_hash = ?3 AND storage_class = ?4 AND first_seen_at = ?5"
    " AND stored_at IS NULL AND (claimed_until IS NULL OR claimed_until <= ?1)"
    " AND EXISTS (SELECT 1 FROM objects o WHERE o.blob_hash = ?3 AND o.storage_class = ?4"
    " AND o.status = 'COMMITTED')"
)


def confirm(db: sqlite3.Connection, now: int, blob: Blob, locator: Locator) -> bool:
    """The bytes have turned out whole; see `BlobRepository.confirm`."""
    key = blob.key
    first = to_micros(blob.first_seen_at)
    values = (now, locator, key.content_hash, key.storage_class, first)
    return db.execute(_CONFIRM, values).rowcount == 1


_COUNTS: Final = json_rows(
    "content_hash, storage_class, size_bytes, ref_count, locator, stored_at, zero_since,"
    " claimed_until, first_seen_at, last_used_at, holders",
    f"SELECT * FROM (SELECT b.*, {_HOLDERS} AS holders FROM {OF_KEYS}) WHERE ref_count <> holders",
)
_REPAIR: Final = (
    "UPDATE blobs SET ref_count = ?3, zero_since = CASE ?3 WHEN 0 THEN ?4 END"
    " WHERE content_hash = ?1 AND storage_class = ?2"
)


def recount(
    db: sqlite3.Connection, now: int, keys: Collection[BlobKey], repair: bool
) -> list[CountDrift]:
    """Compare counts with what holds the blobs."""
    (found,) = db.execute(_COUNTS, (keys_json(keys),)).fetchone()
    drifts = [
        CountDrift(blob.key, blob.ref_count, holders)
        for blob, holders in blobs_and_holders_of(found)
    ]
    if repair:
        db.executemany(
            _REPAIR,
            [
                (drift.key.content_hash, drift.key.storage_class, drift.actual, now)
                for drift in drifts
            ],
        )
    return drifts
