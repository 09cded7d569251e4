"""The hot statements: each answers many requests at once, over `unnest` of one array a column.

They answer the common cases only. An item that a statement returns no row for (a key that is held,
a lease that is lost, a condition to judge) goes the careful way, which finds out why.

**Duplicates.** One batch may bring the same blob many times, and a row can be changed only once by
a statement: counts are summed up for each blob first.

**Order of locks** (R08). Object rows first, then blob rows in the order of their keys.

**Snapshots.** Under READ COMMITTED a statement sees what was committed when it began, and of a row
that it waits for the version that it waited for. It does not see *other* rows that were committed
meanwhile: an object that changes its class while we wait for it points to a blob that our snapshot
may not have. So counts are changed by INSERT ... ON CONFLICT DO UPDATE only, up and down: it finds
rows through the unique index, whenever they were made, and takes them in the order of its SELECT.
That the row is there, so that a count down never inserts, is what the foreign key guarantees.

**Plans** are made while the tables are empty and kept while they fill, so nothing is left to
estimates. Ids are looked up by `= ANY`, other keys in a LATERAL that cannot be flattened; a status
is compared inside CASE, where the planner does not see that some partial index would fit: on an
empty table it would rather walk along that one than find a row by its id.

**Durability** (docs/adr/0030). What answers no client does not wait for the disk: a statement that
only begins or reserves commits asynchronously, by `_RELAXED`. It is set for the statement's own
transaction, so that no round trip is spent on it and no pool of connections can leak it.
"""

from __future__ import annotations

from typing import Final

from juststorage_postgres._schema import HELD, api_keys, columns, objects

__all__ = [
    "BEGIN",
    "BEGIN_RESERVED",
    "COMMIT",
    "DELETE",
    "FIND",
    "FIND_API_KEYS",
    "FIND_BY_KEY",
    "RESERVE",
]

# -- uploads ----------------------------------------------------------------------------------

_NEW: Final = """(
    id, namespace, tenant_id, key, storage_class, content_type, metadata, claims_key, lease_s"""

_NEW_ARRAYS: Final = """
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::boolean[], $9::float8[]"""

_RELAXED: Final = "(SELECT set_config('synchronous_commit', 'off', true) AS value) AS relaxed"
"""Read by a statement, it lets the commit return before its log is on the disk.

The log is written in order, so whatever commits after it, and waits, takes it along.
"""

BEGIN: Final = f"""
INSERT INTO objects (
    id, namespace, tenant_id, key, status, storage_class, content_type, metadata,
    created_at, updated_at, claims_key, lease_expires_at, lease_epoch
)
SELECT
    id::uuid, namespace, tenant_id, key, 'WRITING', storage_class, content_type, metadata::json,
    now(), now(), claims_key, now() + make_interval(secs => lease_s), 1
FROM {_RELAXED}, unnest({_NEW_ARRAYS}) AS i {_NEW})
WHERE relaxed.value IS NOT NULL
ORDER BY tenant_id COLLATE "C", namespace COLLATE "C", key COLLATE "C"
ON CONFLICT DO NOTHING
RETURNING id::text, created_at"""  # noqa: S608 - every part is ours

# Reads `made`: the objects of this statement that have taken a reference. A size that contradicts
# the blob's becomes NULL, which the column refuses: the careful way says why.
_HELD_BLOBS: Final = """
held AS (
    INSERT INTO blobs AS b
        (content_hash, storage_class, size_bytes, ref_count, first_seen_at, last_used_at)
    SELECT content_hash, storage_class, size_bytes, count(*), now(), now()
    FROM made GROUP BY content_hash, storage_class, size_bytes
    ORDER BY content_hash, storage_class
    ON CONFLICT (content_hash, storage_class) DO UPDATE SET
        ref_count = b.ref_count + excluded.ref_count, zero_since = NULL, claimed_until = NULL,
        last_used_at = excluded.last_used_at,
        size_bytes = CASE WHEN b.size_bytes = excluded.size_bytes THEN b.size_bytes END
    RETURNING
        b.content_hash, b.storage_class, CASE WHEN b.stored_at IS NOT NULL THEN b.locator END AS locator
)"""  # noqa: E501

# An object whose blob is stored is COMMITTED as it is inserted: for that the blob must be locked
# before, or a collector could claim it in between. A blob that appears only after our snapshot
# makes a WRITING object with a locator: the caller commits it without placing anything. One object
# that is COMMITTED, and its whole statement waits for the disk.
BEGIN_RESERVED: Final = f"""
WITH i AS (
    SELECT * FROM unnest({_NEW_ARRAYS}, $10::text[], $11::bigint[])
    AS i {_NEW}, content_hash, size_bytes)
), known AS (
    SELECT b.* FROM (
        SELECT content_hash, storage_class FROM i GROUP BY content_hash, storage_class
        ORDER BY content_hash COLLATE "C", storage_class COLLATE "C"
    ) AS w CROSS JOIN LATERAL (
        SELECT b.content_hash, b.storage_class, b.size_bytes, b.stored_at IS NOT NULL AS stored
        FROM blobs b
        WHERE b.content_hash = w.content_hash AND b.storage_class = w.storage_class
        FOR UPDATE
    ) AS b
), made AS (
    INSERT INTO objects (
        id, namespace, tenant_id, key, status, storage_class, content_hash, size_bytes,
        content_type, metadata, created_at, updated_at, blob_hash, claims_key,
        lease_expires_at, lease_epoch
    )
    SELECT
        id::uuid, namespace, tenant_id, key, CASE WHEN stored THEN 'COMMITTED' ELSE 'WRITING' END,
        i.storage_class, i.content_hash, i.size_bytes,
        content_type, metadata::json, now(), now(), i.content_hash, claims_key,
        CASE WHEN stored THEN NULL ELSE now() + make_interval(secs => lease_s) END, 1
    FROM i LEFT JOIN known k
        ON k.content_hash = i.content_hash AND k.storage_class = i.storage_class
    WHERE k.size_bytes IS NULL OR k.size_bytes = i.size_bytes
    ORDER BY tenant_id COLLATE "C", namespace COLLATE "C", key COLLATE "C"
    ON CONFLICT DO NOTHING
    RETURNING id, status, content_hash, storage_class, size_bytes, created_at
), {_HELD_BLOBS}
SELECT made.id::text, made.status, made.created_at, held.locator
FROM (
    SELECT CASE WHEN bool_or(status = 'COMMITTED') THEN 'as set'
        ELSE set_config('synchronous_commit', 'off', true) END AS value
    FROM made
) AS relaxed, made JOIN held USING (content_hash, storage_class)
WHERE relaxed.value IS NOT NULL"""  # noqa: S608

RESERVE: Final = f"""
WITH made AS (
    UPDATE objects o
    SET content_hash = i.content_hash, blob_hash = i.content_hash, size_bytes = i.size_bytes
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[])
        AS i (id, epoch, content_hash, size_bytes)
    WHERE o.id = ANY ($1::text[]::uuid[]) AND o.id = i.id::uuid
        AND CASE WHEN o.status = 'WRITING' THEN o.lease_epoch = i.epoch END
        AND o.blob_hash IS NULL
    RETURNING o.id, o.content_hash, o.storage_class, o.size_bytes
), {_HELD_BLOBS}
SELECT made.id::text, held.locator
FROM {_RELAXED}, made JOIN held USING (content_hash, storage_class)
WHERE relaxed.value IS NOT NULL"""  # noqa: S608

# A PUT whose key is held is left to the careful way, which moves the holder aside. (EXISTS would be
# the word, but may be answered from a hash of all holders there are.)
COMMIT: Final = f"""
WITH done AS (
    UPDATE objects o SET status = 'COMMITTED', lease_expires_at = NULL, updated_at = now()
    FROM unnest($1::text[], $2::bigint[], $3::text[], $4::boolean[])
        AS i (id, epoch, locator, replaces)
    WHERE o.id = ANY ($1::text[]::uuid[]) AND o.id = i.id::uuid
        AND CASE WHEN o.status = 'WRITING' AND o.lease_epoch = i.epoch THEN
            o.content_hash = o.blob_hash
        END
        AND CASE
            WHEN o.key IS NULL THEN true
            WHEN NOT i.replaces THEN o.claims_key
            ELSE (
                SELECT h.id FROM objects h
                WHERE h.tenant_id = o.tenant_id AND h.namespace = o.namespace AND h.key = o.key
                    AND {HELD}
                LIMIT 1
            ) IS NULL
        END
    RETURNING o.id, o.content_hash, o.storage_class, o.size_bytes, o.updated_at, i.locator
), stored AS (
    INSERT INTO blobs AS b
        (content_hash, storage_class, size_bytes, ref_count, locator, stored_at, first_seen_at)
    SELECT
        content_hash, storage_class, min(size_bytes), count(*), min(locator), now(), now()
    FROM done GROUP BY content_hash, storage_class
    ORDER BY content_hash, storage_class
    ON CONFLICT (content_hash, storage_class) DO UPDATE SET
        locator = CASE WHEN b.stored_at IS NULL THEN excluded.locator ELSE b.locator END,
        stored_at = coalesce(b.stored_at, excluded.stored_at)
    RETURNING b.content_hash, b.storage_class, b.locator
)
SELECT done.id::text, content_hash, done.size_bytes, done.updated_at, stored.locator
FROM done JOIN stored USING (content_hash, storage_class)"""  # noqa: S608

DELETE: Final = f"""
WITH gone AS (
    UPDATE objects o SET status = 'DELETING', blob_hash = NULL, updated_at = now()
    FROM unnest($1::text[], $2::text[]) AS i (id, tenant_id)
    WHERE o.id = ANY ($1::text[]::uuid[]) AND o.id = i.id::uuid
        AND CASE WHEN o.status = 'COMMITTED' THEN o.tenant_id = i.tenant_id END
    RETURNING {columns(objects, "o.")}
), released AS (
    INSERT INTO blobs AS b
        (content_hash, storage_class, size_bytes, ref_count, first_seen_at, last_used_at)
    SELECT content_hash, storage_class, min(size_bytes), count(*), now(), now()
    FROM gone GROUP BY content_hash, storage_class
    ORDER BY content_hash, storage_class
    ON CONFLICT (content_hash, storage_class) DO UPDATE SET
        ref_count = b.ref_count - excluded.ref_count, last_used_at = excluded.last_used_at,
        zero_since = CASE WHEN b.ref_count = excluded.ref_count THEN excluded.last_used_at END
)
SELECT * FROM gone"""  # noqa: S608

# -- look-ups ---------------------------------------------------------------------------------

_FOUND: Final = f"""
SELECT {columns(objects, "o.")}, (
    SELECT b.locator FROM blobs b
    WHERE b.content_hash = o.blob_hash AND b.storage_class = o.storage_class
) AS locator"""  # noqa: S608

FIND: Final = f"""{_FOUND}
FROM objects o
WHERE o.id = ANY ($1::text[]::uuid[]) AND CASE WHEN o.status = 'COMMITTED' THEN true END"""

FIND_BY_KEY: Final = f"""{_FOUND}
FROM unnest($1::text[], $2::text[], $3::text[]) AS i (tenant_id, namespace, key)
CROSS JOIN LATERAL (
    SELECT h.* FROM objects h
    WHERE h.tenant_id = i.tenant_id AND h.namespace = i.namespace AND h.key = i.key AND {HELD}
    OFFSET 0
) AS o
WHERE o.status = 'COMMITTED'"""  # noqa: S608

FIND_API_KEYS: Final = f"""
SELECT {columns(api_keys)} FROM api_keys WHERE hashed = ANY ($1::bytea[])"""  # noqa: S608
