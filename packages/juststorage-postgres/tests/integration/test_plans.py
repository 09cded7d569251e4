"""Every hot statement finds its rows through an index, on empty tables and on filled ones."""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import asyncpg
import pytest
from msgspec.structs import replace

from juststorage.domain import (
    Namespace,
    Query,
    SortBy,
    TenantId,
)
from juststorage.ports import MetadataStore
from juststorage_postgres import _blobs, _statements, _work
from juststorage_postgres._connect import connect
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres._page import statements_of

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]

FILL = """
INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, locator, stored_at,
    zero_since, first_seen_at)
SELECT 'sha256:' || md5(n::text) || md5(n::text), 'hot', n, CASE WHEN n % 10 = 0 THEN 0 ELSE 1 END,
    'hot/' || n, now(), CASE WHEN n % 10 = 0 THEN now() - n * interval '1 s' END, now()
FROM generate_series(1, 20000) AS n;
INSERT INTO objects (id, namespace, tenant_id, key, status, storage_class, content_hash,
    size_bytes, content_type, metadata, created_at, updated_at, blob_hash, claims_key, lease_epoch)
SELECT gen_random_uuid(), 'n' || n % 4, 't' || n % 2, CASE WHEN n % 5 > 0 THEN 'key/' || n END,
    'COMMITTED', 'hot', content_hash, n, 'text/plain', '{}', now() - n * interval '1 s', now(),
    content_hash, false, 1
FROM blobs CROSS JOIN LATERAL (SELECT size_bytes AS n) AS s WHERE ref_count = 1;
"""

STATEMENTS = {
    "FIND": (_statements.FIND, {"objects_pkey", "blobs_pkey"}),
    "FIND_BY_KEY": (_statements.FIND_BY_KEY, {"objects_key_holder_idx", "blobs_pkey"}),
    "FIND_API_KEYS": (_statements.FIND_API_KEYS, {"api_keys_hashed_key"}),
    "BEGIN_RESERVED": (_statements.BEGIN_RESERVED, {"blobs_pkey"}),
    "RESERVE": (_statements.RESERVE, {"objects_pkey"}),
    "COMMIT": (_statements.COMMIT, {"objects_pkey", "objects_key_holder_idx"}),
    "DELETE": (_statements.DELETE, {"objects_pkey"}),
    "LOCK_OBJECTS": (_work.LOCK_OBJECTS, {"objects_pkey", "objects_key_holder_idx"}),
    "LOCK_BLOBS": (_work.LOCK_BLOBS, {"blobs_pkey"}),
    "UPDATE_OBJECTS": (_work.UPDATE_OBJECTS, {"objects_pkey"}),
}


async def generic_plan(connection: asyncpg.Connection, statement: str) -> str:
    """The plan that is kept: the one for any arguments."""
    numbers = [int(number) for number in re.findall(r"\$(\d+)", statement)]
    arguments = ", ".join(["NULL"] * max(numbers))
    await connection.execute("SET plan_cache_mode = force_generic_plan")
    await connection.execute(f"PREPARE hot AS {statement}")
    rows = await connection.fetch(f"EXPLAIN (COSTS OFF) EXECUTE hot ({arguments})")
    await connection.execute("DEALLOCATE hot")
    return "\n".join(row[0] for row in rows)


def scans(plan: str) -> set[str]:
    """The indexes that a plan looks into."""
    return set(re.findall(r"(?:using|Bitmap Index Scan on) (\w+)", plan))


def unbounded(plan: str) -> list[str]:
    """Index scans without a condition: they read all of the index."""
    lines = plan.splitlines()
    return [
        line
        for line, following in zip(lines, [*lines[1:], ""], strict=True)
        if re.search(r"Index (Only )?Scan using|Bitmap Index Scan", line)
        and "Index Cond" not in following
    ]


@pytest.mark.parametrize("filled", [False, True])
async def test_hot_statements(postgres_options: PostgresOptions, filled: bool) -> None:
    """The right index, with a condition: a plan that was made on empty tables is kept."""
    connection = await connect(postgres_options)
    try:
        if filled:
            await connection.execute(FILL)
            await connection.execute("ANALYZE objects, blobs")
        for name, (statement, indexes) in STATEMENTS.items():
            plan = await generic_plan(connection, statement)
            assert scans(plan) == indexes, f"{name}\n{plan}"
            assert "Seq Scan" not in plan and unbounded(plan) == [], f"{name}\n{plan}"
    finally:
        await connection.close()


QUERIES = {
    "newest": (Query(tenant_id=TenantId("t1")), {"objects_newest_idx"}),
    "newest in a namespace": (
        Query(tenant_id=TenantId("t1"), namespaces=frozenset([Namespace("n1")])),
        {"objects_created_idx"},
    ),
    "updated": (
        Query(
            tenant_id=TenantId("t1"),
            namespaces=frozenset([Namespace("n1"), Namespace("n3")]),
            sort_by=SortBy.UPDATED_AT,
        ),
        {"objects_updated_idx"},
    ),
    "largest of a tenant": (
        Query(tenant_id=TenantId("t1"), sort_by=SortBy.SIZE_BYTES),
        {"objects_size_idx"},
    ),
    "by key": (
        Query(
            tenant_id=TenantId("t1"),
            namespaces=frozenset([Namespace("n1")]),
            key_prefix="key/1",
            sort_by=SortBy.KEY,
            descending=False,
        ),
        {"objects_key_holder_idx", "objects_keyless_idx"},
    ),
}


@pytest.mark.parametrize("name", QUERIES)
async def test_pages(postgres_options: PostgresOptions, store: MetadataStore, name: str) -> None:
    """The first page and a deep one walk along the index of their order, within its bounds."""
    query, indexes = QUERIES[name]
    connection = await connect(postgres_options)
    try:
        await connection.execute(FILL)
        await connection.execute("ANALYZE objects, blobs")
        first = await store.objects.page(replace(query, limit=1000))
        assert len(first.objects) == 1000 and first.next is not None
        for after in (None, first.next):
            for statement, arguments in statements_of(replace(query, after=after)):
                rows = await connection.fetch(f"EXPLAIN {statement}", *arguments, 51)
                plan = "\n".join(row[0] for row in rows)
                assert "Seq Scan" not in plan and unbounded(plan) == [], plan
                assert scans(plan) & indexes, plan
                # What skips from namespace to namespace may use any index that begins with them.
                assert all(each.startswith("objects_") for each in scans(plan)), plan
    finally:
        await connection.close()


COLLECTING = {
    "CANDIDATES": (_blobs.CANDIDATES, {"blobs_garbage_idx"}),
    "CLAIM": (_blobs.CLAIM, {"blobs_pkey"}),
    "LOCK_BLOBS": (_work.LOCK_BLOBS, {"blobs_pkey"}),
    "HOLDERS": (_blobs.HOLDERS, {"objects_blob_idx"}),
    "DROP_CLAIMS": (_blobs._DROP_CLAIMS, {"blobs_pkey"}),
    "DELETE": (_blobs._DELETE, {"blobs_pkey"}),
    "BURY": (_blobs._BURY, {"objects_deleting_idx", "objects_pkey"}),
    "LOCATORS": (_blobs._LOCATORS, {"blobs_locator_idx"}),
}


@pytest.mark.parametrize("filled", [False, True])
async def test_collecting(postgres_options: PostgresOptions, filled: bool) -> None:
    """Claiming and removing read what they claim and remove: never all objects, or all blobs."""
    connection = await connect(postgres_options)
    try:
        if filled:
            await connection.execute(FILL)
            await connection.execute("ANALYZE objects, blobs")
        for name, (statement, indexes) in COLLECTING.items():
            plan = await generic_plan(connection, statement)
            assert scans(plan) == indexes, f"{name}\n{plan}"
            assert "Seq Scan" not in plan and unbounded(plan) == [], f"{name}\n{plan}"
    finally:
        await connection.close()


READ = """
SELECT coalesce(sum(seq_scan), 0)::int AS scans, (
    SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE indexrelname = 'blobs_garbage_idx'
) AS garbage, (
    SELECT sum(idx_tup_read)::int FROM pg_stat_user_indexes WHERE relname = 'objects'
) AS objects
FROM pg_stat_user_tables WHERE relname IN ('blobs', 'objects')"""


async def test_a_claim_reads_as_much_as_it_claims(
    postgres_options: PostgresOptions, open_store: OpenStore, raw: asyncpg.Connection
) -> None:
    """Of 2,000 blobs that are garbage, a claim of ten reads about ten, by the server's count."""
    connection = await connect(postgres_options)
    await connection.execute(FILL)
    await connection.execute("ANALYZE objects, blobs")
    await connection.close()
    async with open_store() as store:
        await raw.execute("SELECT pg_stat_reset()")
        claimed = await store.blobs.claim(grace_s=0, claim_s=60, limit=10, agree=lambda *_: True)
        assert len(claimed) == 10
    # A server process reports what it has read when it ends.
    with anyio.fail_after(10):
        while not (read := await raw.fetchrow(READ))["garbage"]:
            pass
    assert (read["scans"], read["objects"]) == (0, 0)
    assert read["garbage"] < 50
