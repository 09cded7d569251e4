"""The mode for PgBouncer: nothing that a later statement needs is left on a connection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio
import asyncpg

from juststorage.domain import Query
from juststorage.ports import MetadataStore
from juststorage.testing import audit_metadata, make_content, make_intent, store_object

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]
TENANT = make_intent().new.tenant_id


async def test_every_statement_is_in_a_transaction(
    open_store: OpenStore, raw: asyncpg.Connection
) -> None:
    """Between BEGIN and COMMIT a client keeps its server process, and nowhere else."""
    async with open_store(pgbouncer=True) as store:
        done = await store_object(store, make_intent("k"), make_content("c"))
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(store.objects.find, TENANT, done.object.id)
        assert (await store.objects.page(Query(tenant_id=TENANT))).objects[0].id == done.object.id
        await store.objects.scan(after=None, limit=9)
        await store.ping()
        await store.secret("s")
        last = await raw.fetch(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        assert {row["query"] for row in last} == {"COMMIT"}
        await store.objects.delete(TENANT, done.object.id)
        assert await audit_metadata(store) == []
