"""A database that goes away while the service runs: errors that are honest, and no restart."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path

import anyio
import asyncpg
import pytest

from juststorage.errors import JustStorageError, Unavailable
from juststorage.ports import Committed, MetadataStore, Reservation
from juststorage.testing import audit_metadata, make_content, make_intent, store_object
from juststorage_postgres.testing import (
    LocalServer,
    run_sql,
)
from juststorage_postgres.testing.stoppable import *  # noqa: F403

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]
TENANT = make_intent().new.tenant_id


async def test_a_crash_and_its_recovery(
    open_store: OpenStore, server: LocalServer, url: str
) -> None:
    """After an immediate stop everything is Unavailable; after the start everything works."""
    async with open_store(url) as store:
        done = await store_object(store, make_intent("kept"), make_content("kept"))
        server.stop("immediate")
        for _ in range(3):
            with pytest.raises(Unavailable):
                await store.objects.find(TENANT, done.object.id)
            with pytest.raises(Unavailable):
                await store.objects.begin(make_intent(), lease_s=60)
            with pytest.raises(Unavailable):
                await store.ping()
        server.start()
        back_at = time.monotonic()
        while True:
            try:
                found = await store.objects.find(TENANT, done.object.id)
                await store_object(store, None, make_content("new"))
                break
            except Unavailable:
                assert time.monotonic() - back_at < 5
        assert found == done.object
        assert await audit_metadata(store) == []


async def test_connections_are_replaced(open_store: OpenStore, url: str) -> None:
    """Connections that an administrator ends between two requests cost no request."""
    async with open_store(url) as store:
        done = await store_object(store, None, make_content("c"))
        run_sql(
            url,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        assert await store.objects.find(TENANT, done.object.id) == done.object


async def test_a_server_that_is_frozen(open_store: OpenStore, url: str) -> None:
    """A statement that gets no answer ends as Unavailable, and its connection is given up."""
    async with open_store(url, statement_timeout_s=0.2) as store:
        await store.ping()
        watcher = await asyncpg.connect(url)
        pids = await watcher.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'juststorage'"
            " AND datname = current_database()"
        )
        await watcher.close()
        for row in pids:
            os.kill(row["pid"], signal.SIGSTOP)
        try:
            with anyio.fail_after(10), pytest.raises(Unavailable):
                await store.secret("frozen")
            await store.ping()
        finally:
            for row in pids:
                os.kill(row["pid"], signal.SIGCONT)


async def test_no_connection_left(open_store: OpenStore, server: LocalServer, url: str) -> None:
    """Where the server grants no further connection, calls that need one are Unavailable."""
    run_sql(
        url,
        "DROP ROLE IF EXISTS few",
        "CREATE ROLE few LOGIN CONNECTION LIMIT 1",
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO few",
    )
    other = await asyncpg.connect(url)
    try:
        async with open_store(url.replace("postgres@", "few@")) as store:
            await store_object(store, None, make_content("locked"))
            transaction = other.transaction()
            await transaction.start()
            await other.execute("SELECT FROM blobs FOR UPDATE")
            refused: list[JustStorageError] = []

            async def upload() -> None:
                await store_object(store, None, make_content("locked"))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(upload)
                while (
                    await other.fetchval(
                        "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                    )
                    == 0
                ):
                    pass
                with pytest.raises(Unavailable) as caught:
                    await store.ping()
                refused.append(caught.value)
                await transaction.rollback()
            await store.ping()
            assert len(refused) == 1
    finally:
        await other.close()
        run_sql(url, "DROP OWNED BY few", "DROP ROLE few")


class Proxy:
    """Stands between a store and the server: can lose an answer, or forget the connections it has.

    On asyncio's streams: anyio's on Unix sockets complain when they are cancelled while bytes come.
    """

    def __init__(self, target: Path) -> None:
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()
        self._forgotten: set[asyncio.StreamWriter] = set()
        self.loses_answer = False

    def forget(self) -> int:
        """Pass nothing on, from now, of the connections that there are; their number."""
        self._forgotten |= self._open
        return len(self._open)

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass bytes both ways until one side ends."""
        from_server, to_server = await asyncio.open_unix_connection(self._target)
        self._open.add(writer)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._pass_on, reader, writer, to_server, tasks.cancel_scope)
                await self._pass_back(from_server, writer)
                tasks.cancel_scope.cancel()
        finally:
            self._open.discard(writer)
            for end in (writer, to_server):
                end.transport.abort()

    async def _pass_on(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        to_server: asyncio.StreamWriter,
        scope: anyio.CancelScope,
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                if writer not in self._forgotten:
                    to_server.write(data)
        scope.cancel()

    async def _pass_back(
        self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(ConnectionError):
            while data := await from_server.read(65536):
                if self.loses_answer:
                    self.loses_answer = False
                    return
                writer.write(data)


@asynccontextmanager
async def proxied(
    server: LocalServer, url: str, directory: Path
) -> AsyncIterator[tuple[str, Proxy]]:
    """The URL of the database behind a proxy, and the proxy."""
    proxy = Proxy(server.root / ".s.PGSQL.5432")
    async with await asyncio.start_unix_server(proxy.handle, directory / ".s.PGSQL.5432"):
        yield url.replace(str(server.root), str(directory)), proxy


async def test_a_commit_whose_answer_is_lost(
    open_store: OpenStore, server: LocalServer, url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """R17: the change is Unavailable, never sent twice, and a look tells that it happened."""
    directory = tmp_path_factory.mktemp("p")
    async with proxied(server, url, directory) as (through, proxy), open_store(through) as store:
        # The statement is prepared by now: its next use is one request and one answer.
        await store_object(store, make_intent("first"), make_content("first"))
        reserved = await store.objects.begin_reserved(
            make_intent("k"), make_content("k"), lease_s=60
        )
        assert isinstance(reserved, Reservation)
        proxy.loses_answer = True
        with pytest.raises(Unavailable):
            await store.objects.commit(reserved.lease, "hot/k")
        assert not proxy.loses_answer
        found = await store.objects.find(TENANT, reserved.lease.object.id)
        assert found is not None and found.locator == "hot/k"
        assert await audit_metadata(store) == []


async def test_a_begin_whose_answer_is_lost(
    open_store: OpenStore, server: LocalServer, url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """R09, R17: content that is stored already is committed once, whoever hears of it."""
    directory = tmp_path_factory.mktemp("p")
    async with proxied(server, url, directory) as (through, proxy), open_store(through) as store:
        content = make_content("stored")
        await store_object(store, None, content)
        assert isinstance(
            await store.objects.begin_reserved(make_intent(), content, lease_s=60), Committed
        )
        intent = make_intent("k")
        proxy.loses_answer = True
        with pytest.raises(Unavailable):
            await store.objects.begin_reserved(intent, content, lease_s=60)
        found = await store.objects.find(TENANT, intent.new.id)
        assert found is not None and found.key == "k"
        assert [blob.ref_count for blob in await store.blobs.scan(after=None, limit=9)] == [3]


async def test_connections_that_fell_silent_together(
    open_store: OpenStore, server: LocalServer, url: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What forgot one connection forgot the others: they are replaced, not found out one by one."""
    directory = tmp_path_factory.mktemp("p")
    async with (
        proxied(server, url, directory) as (through, proxy),
        open_store(through, statement_timeout_s=0.3, pool_size=4) as store,
    ):
        async with anyio.create_task_group() as tasks:
            for _ in range(8):
                tasks.start_soon(store.now)
        assert proxy.forget() >= 3
        with pytest.raises(Unavailable):
            await store.ping()
        for _ in range(4):
            await store.ping()
