"""Usage in PostgreSQL: exact, without a row that all uploads of a tenant wait for."""

from __future__ import annotations

import anyio
import asyncpg

from juststorage.domain import TenantId
from juststorage.ports import MetadataStore
from juststorage.testing import make_content, make_intent, store_object
from juststorage_postgres import _usage

TENANT = TenantId("acme")
OPEN = """
UPDATE objects SET status = 'DELETING', blob_hash = NULL
WHERE id = (SELECT id FROM objects WHERE status = 'COMMITTED' LIMIT 1)"""


async def counted(store: MetadataStore) -> int:
    """All objects of the tenant, as they are counted."""
    return (await store.usage.of(TENANT)).objects


async def test_no_transaction_waits_for_another_ones_count(
    store: MetadataStore, raw: asyncpg.Connection
) -> None:
    """Someone who has changed the same namespace and does not commit holds up nobody."""
    for number in range(3):
        await store_object(store, make_intent(), make_content(str(number)))
    transaction = raw.transaction()
    await transaction.start()
    assert await raw.execute(OPEN) == "UPDATE 1"
    with anyio.fail_after(10):
        await store_object(store, make_intent(), make_content("another"))
        assert await store.usage.fold(limit=100) > 0
        await store_object(store, make_intent(), make_content("and another"))
        assert await counted(store) == 5
    await transaction.commit()
    assert await counted(store) == 4
    await raw.execute(
        "UPDATE blobs SET ref_count = (SELECT count(*) FROM objects o"
        " WHERE o.blob_hash = blobs.content_hash)"
    )
    await raw.execute("UPDATE blobs SET zero_since = now() WHERE ref_count = 0")


async def test_a_count_that_is_wrong_is_found_and_mended(
    store: MetadataStore, raw: asyncpg.Connection
) -> None:
    """In the folded counts and in the single ones; two that mend at once mend it once."""
    for number in range(4):
        await store_object(store, make_intent(), make_content(str(number)))
    for damage in (
        "DELETE FROM usage_deltas",
        "UPDATE usage SET objects = 17, bytes = -1",
        "INSERT INTO usage_deltas VALUES ('acme', 'ghost', 'cold', 1, 5)",
        "TRUNCATE usage, usage_deltas",
    ):
        await raw.execute(damage)
        found = await store.usage.recount(after=None, repair=False)
        assert found is not None and len(found.drifts) == 1, damage
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(_mend, store)
        mended = await store.usage.recount(after=None, repair=False)
        assert mended is not None and mended.drifts == []
        assert await counted(store) == 4
        await store.usage.fold(limit=100)


async def _mend(store: MetadataStore) -> None:
    await store.usage.recount(after=None, repair=True)


async def test_counts_are_found_through_an_index(
    store: MetadataStore, raw: asyncpg.Connection
) -> None:
    """Objects and logical bytes never look at the objects, however many there are."""
    await raw.execute(
        "INSERT INTO usage_deltas SELECT 't' || (n % 1000), 'n', 'hot', 1, 1"
        " FROM generate_series(1, 20000) AS n"
    )
    await raw.execute("ANALYZE usage_deltas")
    lines = await raw.fetch(f"EXPLAIN {_usage._LOGICAL}", "t1", None)
    plan = "\n".join(line[0] for line in lines)
    assert "objects o" not in plan and "on objects" not in plan
    assert "usage_deltas_tenant_idx" in plan
    assert "Seq Scan on usage_deltas" not in plan
    await raw.execute("TRUNCATE usage_deltas")
