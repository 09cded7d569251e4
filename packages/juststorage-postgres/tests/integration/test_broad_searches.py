"""A search that no index answers: the statement timeout ends it, and nobody else notices."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import anyio
import pytest

from juststorage.domain import ObjectKey, Query
from juststorage.errors import Unavailable
from juststorage.ports import MetadataStore
from juststorage.testing import make_content, make_intent, store_object
from juststorage_postgres.testing import run_sql
from juststorage_postgres.testing.stoppable import *  # noqa: F403

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]
TENANT = make_intent().new.tenant_id


@pytest.fixture
async def slow_url(open_store: OpenStore, url: str) -> AsyncIterator[str]:
    """As a role for which each object that is looked at takes a tenth of a second."""
    async with open_store(url) as store:
        for number in range(10):
            await store_object(store, make_intent(f"k{number}"), make_content("same"))
    run_sql(
        url,
        "CREATE ROLE slow LOGIN",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO slow",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO slow",
        "ALTER TABLE objects ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY slowly ON objects TO slow USING (pg_sleep(0.1) IS NOT NULL)",
    )
    yield url.replace("postgres@", "slow@")
    run_sql(
        url,
        "DROP POLICY slowly ON objects",
        "ALTER TABLE objects DISABLE ROW LEVEL SECURITY",
        "DROP OWNED BY slow",
        "DROP ROLE slow",
    )


async def test_it_ends_by_itself(open_store: OpenStore, slow_url: str) -> None:
    """Unavailable after the timeout, however many ask at once; the store answers others as ever."""
    broad = Query(tenant_id=TENANT, key_contains="not in any key")
    ended: list[str] = []
    async with open_store(slow_url, statement_timeout_s=0.3) as store:

        async def search() -> None:
            with pytest.raises(Unavailable) as caught:
                await store.objects.page(broad)
            ended.append(caught.value.detail)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for _ in range(20):
                    tasks.start_soon(search)
            await store.ping()
            new = make_intent().new
            found = await store.objects.find_by_key(TENANT, new.namespace, ObjectKey("k7"))
            assert found is not None
    # Those that waited for a connection meanwhile were not answered at all.
    assert len(ended) == 20
    assert "the metadata store was not done in time" in ended
