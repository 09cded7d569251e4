"""What answers no client does not wait for the disk, and what was answered is on it."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

import anyio
import asyncpg
import pytest

from juststorage.domain import ObjectStatus
from juststorage.errors import Unavailable, UploadExpired
from juststorage.ports import Committed, MetadataStore, Reservation
from juststorage.testing import audit_metadata, make_content, make_intent, store_object
from juststorage_postgres._careful import Begin
from juststorage_postgres._fast import _begin_reserved
from juststorage_postgres.testing import LocalServer
from juststorage_postgres.testing.stoppable import *  # noqa: F403

OpenStore = Callable[..., AbstractAsyncContextManager[MetadataStore]]


class Log:
    """The server's write-ahead log, which nobody writes out but whoever waits for it."""

    def __init__(self, watcher: asyncpg.Connection, writer: int) -> None:
        self._watcher = watcher
        self.writer = writer

    async def waits(self) -> bool:
        """Whether some of the log is not on the disk."""
        found: bool = await self._watcher.fetchval(
            "SELECT pg_current_wal_flush_lsn() < pg_current_wal_insert_lsn()"
        )
        return found

    async def flush(self) -> None:
        """Have all of it on the disk."""
        # A transaction that changes nothing waits for nothing.
        await self._watcher.execute("SELECT pg_logical_emit_message(true, 'test', 'flush')")
        assert not await self.waits()


@pytest.fixture
def logged(server: LocalServer, url: str) -> Callable[[], AbstractAsyncContextManager[Log]]:
    """Stops the process that writes the log out now and then, and watches."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Log]:
        watcher = await asyncpg.connect(url)
        writer = await watcher.fetchval(
            "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
        )
        os.kill(writer, signal.SIGSTOP)
        try:
            yield Log(watcher, writer)
        finally:
            with suppress(ProcessLookupError):
                os.kill(writer, signal.SIGCONT)
            watcher.terminate()

    return opened


async def test_a_new_small_upload_waits_for_the_disk_once(
    open_store: OpenStore, url: str, logged: Callable[[], AbstractAsyncContextManager[Log]]
) -> None:
    """Its reservation does not wait, its commit does, and takes the reservation along."""
    async with open_store(url) as store, logged() as log:
        await log.flush()
        reserved = await store.objects.begin_reserved(make_intent(), make_content("s"), lease_s=60)
        assert isinstance(reserved, Reservation)
        assert await log.waits()
        await store.objects.commit(reserved.lease, "somewhere")
        assert not await log.waits()


async def test_a_large_upload_waits_for_the_disk_once(
    open_store: OpenStore, url: str, logged: Callable[[], AbstractAsyncContextManager[Log]]
) -> None:
    """Neither when it begins nor when it reserves; when it commits."""
    async with open_store(url) as store, logged() as log:
        await log.flush()
        lease = await store.objects.begin(make_intent("large"), lease_s=60)
        assert await log.waits()
        await log.flush()
        reserved = await store.objects.reserve(lease, make_content("l"))
        assert await log.waits()
        await store.objects.commit(reserved.lease, "somewhere")
        assert not await log.waits()


async def test_what_is_stored_already_is_answered_from_the_disk(
    open_store: OpenStore, url: str, logged: Callable[[], AbstractAsyncContextManager[Log]]
) -> None:
    """Alone, and in one statement with an upload that would not wait."""
    content = make_content("stored")
    async with open_store(url) as store, logged() as log:
        await store_object(store, None, content)
        await log.flush()
        done = await store.objects.begin_reserved(make_intent(), content, lease_s=60)
        assert isinstance(done, Committed)
        assert not await log.waits()
        connection = await asyncpg.connect(url)
        try:
            answers = await _begin_reserved(
                connection,
                [Begin(make_intent(), 60, made) for made in (make_content("new"), content)],
            )
            assert [type(answer) for answer in answers] == [Reservation, Committed]
            assert not await log.waits()
        finally:
            await connection.close()


async def test_a_reservation_that_a_crash_has_lost_is_told(
    open_store: OpenStore, url: str, logged: Callable[[], AbstractAsyncContextManager[Log]]
) -> None:
    """The upload does not succeed, leaves nothing, and may be made again."""
    content = make_content("lost")
    async with open_store(url) as store:
        async with logged() as log:
            await log.flush()
            reserved = await store.objects.begin_reserved(make_intent("lost"), content, lease_s=60)
            assert await log.waits()
            # One of its processes killed, the server forgets what was in memory, and recovers.
            os.kill(log.writer, signal.SIGKILL)
            await _until_back(store)
        assert isinstance(reserved, Reservation)
        with pytest.raises(UploadExpired):
            await store.objects.commit(reserved.lease, "somewhere")
        assert await audit_metadata(store) == []
        again = await store_object(store, make_intent("lost"), content)
        assert again.object.status is ObjectStatus.COMMITTED


async def _until_back(store: MetadataStore) -> None:
    crashed_at = time.monotonic()
    has_failed = False
    while True:
        try:
            await store.ping()
            if has_failed:
                return
        except Unavailable:
            has_failed = True
        assert time.monotonic() - crashed_at < 30
        await anyio.sleep(0.02)
