"""The mode for PgBouncer: nothing that a later statement needs is left on a connection."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio
import asyncpg
import pytest
from msgspec.structs import replace

from juststorage.domain import ObjectId, Query
from juststorage.errors import Misconfigured
from juststorage.ports import MetadataStore
from juststorage.testing import (
    audit_metadata,
    make_content,
    make_intent,
    open_backend,
    store_object,
)
from juststorage_postgres._migrations import REVISIONS
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES
from juststorage_postgres.testing import PostgresServer, made_database

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


async def test_many_at_once(bouncer: Any, bouncer_options: PostgresOptions) -> None:
    """Two processes with twenty connections share three of the server, and all goes well."""
    connection = await asyncpg.connect(bouncer.direct_url)
    try:
        async with (
            open_backend(POSTGRES, bouncer_options) as one,
            open_backend(POSTGRES, bouncer_options) as other,
        ):
            kept: dict[str, ObjectId] = {}

            async def life(store: MetadataStore, name: str) -> None:
                # Of every content there are several, so that their statements meet in its row.
                intent = make_intent(name, replace=True)
                done = await store_object(store, intent, make_content(name[-1]))
                assert await store.objects.find(TENANT, done.object.id) == done.object
                found = await store.objects.find_by_key(
                    TENANT, intent.new.namespace, intent.new.key
                )
                assert found is not None
                if int(name[-1]) % 2:
                    await store.objects.delete(TENANT, done.object.id)
                else:
                    kept[name] = done.object.id

            async with anyio.create_task_group() as tasks:
                for number in range(200):
                    tasks.start_soon(life, one if number % 3 else other, f"k{number}")
            servers = await connection.fetchval(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            assert 2 <= servers <= 3
            listed = await one.objects.page(Query(tenant_id=TENANT, limit=500))
            assert {each.id for each in listed.objects} == set(kept.values())
            assert await audit_metadata(one) == []
    finally:
        await connection.close()


def test_without_the_option(bouncer: Any, bouncer_options: PostgresOptions) -> None:
    """Settings of a connection are refused by PgBouncer, in a sentence that names the option."""
    options = replace(bouncer_options, pgbouncer=False)

    async def opened() -> None:
        async with open_backend(POSTGRES, options):
            pass

    with pytest.raises(Misconfigured, match="pgbouncer = true"):
        anyio.run(opened)


MIGRATE = """
import sys
from juststorage.plugins import Secret
from juststorage_postgres._migrator import PostgresMigrator
from juststorage_postgres._options import PostgresOptions
migrator = PostgresMigrator(PostgresOptions(url=Secret(sys.argv[1]), pgbouncer=True))
for _ in range(2):
    migrator.up()
    print(*migrator.status().pending, migrator.status().current)
    migrator.down("base")
migrator.up()
"""


def test_migrations(bouncer: Any) -> None:
    """Several processes go up and down on the same server connections, and leave nothing there."""
    with made_database(PostgresServer(bouncer.server.url(), "own", bouncer.server)) as url:
        for _ in range(2):
            told = subprocess.run(
                [sys.executable, "-c", MIGRATE, bouncer.through(url)],
                check=False,
                capture_output=True,
                text=True,
            )
            assert (told.returncode, told.stderr) == (0, ""), told.stderr
            assert told.stdout.split() == [REVISIONS[-1]] * 2
