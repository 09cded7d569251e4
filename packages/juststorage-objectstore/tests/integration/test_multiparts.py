"""Large uploads that nobody ends: what dead processes leave, and what a large upload takes."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import anyio
import pytest

from juststorage.domain import ContentHash, ObjectId
from juststorage.errors import TooLarge, Unavailable
from juststorage.ports import BlobStore, StagedEntry
from juststorage_objectstore import _staged
from juststorage_objectstore._multiparts import find_multiparts
from juststorage_objectstore._options import MIB
from juststorage_objectstore.testing import FaultyProxy, S3Server

OpenStore = Callable[..., AbstractAsyncContextManager[BlobStore]]
SOON_S = 15.0
"""A fraction of a second on a quiet machine; less than half of any time-out that is meant here."""

NO_HASH = ContentHash("sha256:" + "0" * 64)
"""The store does not look at it: names are generations."""

DIES = """
import asyncio, os, sys
from juststorage.domain import ContentHash, ObjectId
from juststorage.plugins import Secret
from juststorage.testing import open_backend
from juststorage_objectstore.plugin import OBJECTSTORE, ObjectStoreOptions

async def main():
    url, endpoint, key, secret, upload_id = sys.argv[1:]
    options = ObjectStoreOptions(url=url, endpoint=endpoint, access_key_id=Secret(key),
        secret_access_key=Secret(secret), part_bytes=5 << 20)
    async with open_backend(OBJECTSTORE, options) as store:
        staged = await store.stage(ObjectId(upload_id))
        for _ in range(7):
            await staged.write(bytes(2 << 20))
        small = await store.stage(ObjectId.new())
        await small.write(b"in memory")
        os._exit(9)

asyncio.run(main())
"""

LISTS = """
import asyncio, signal, sys
import anyio
from juststorage.plugins import Secret
from juststorage.testing import open_backend
from juststorage_objectstore.plugin import OBJECTSTORE, ObjectStoreOptions

async def main():
    url, endpoint, key, secret = sys.argv[1:]
    options = ObjectStoreOptions(url=url, endpoint=endpoint, access_key_id=Secret(key),
        secret_access_key=Secret(secret), timeout_s=60, deadline_s=60)
    with anyio.open_signal_receiver(signal.SIGTERM) as signals:
        async with open_backend(OBJECTSTORE, options) as store, anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: store.staged(older_than_s=0, limit=1))
            async for _ in signals:
                tasks.cancel_scope.cancel()

asyncio.run(main())
"""

GROWS = """
import asyncio, resource, sys
from juststorage.domain import ContentHash, ObjectId
from juststorage.plugins import Secret
from juststorage.testing import make_content, open_backend
from juststorage_objectstore.plugin import OBJECTSTORE, ObjectStoreOptions

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main():
    url, endpoint, key, secret = sys.argv[1:]
    options = ObjectStoreOptions(url=url, endpoint=endpoint, access_key_id=Secret(key),
        secret_access_key=Secret(secret), part_bytes=5 << 20, parts_at_once=2)
    async with open_backend(OBJECTSTORE, options) as store:
        block = bytes(2 << 20)
        await store.put(ObjectId.new(), make_content(b"x").content_hash, b"x")
        before = peak()
        async with await store.stage(ObjectId.new()) as staged:
            for _ in range(64):
                await staged.write(block)
            await staged.finish()
            locator = await store.place(staged, make_content(b"").content_hash)
        async with await store.open(locator) as reader:
            assert reader.size_bytes == 128 << 20
            async for piece in reader.chunks(0, reader.size_bytes):
                assert len(piece) < 1 << 20
        print(peak() - before)

asyncio.run(main())
"""


def run(
    script: str, server: S3Server, bucket: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """A process of its own on the bucket, where the other tests have their prefix."""
    words = [f"s3://{bucket}/pre/fix", server.endpoint, server.access_key, server.secret_key]
    return subprocess.run(
        [sys.executable, "-c", script, *words, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


async def listed(store: BlobStore, number: int) -> list[StagedEntry]:
    """So many staged uploads, once they are that old.

    A part that is under way is written while the list is asked for, and some servers count an
    upload's age from its last part.
    """
    with anyio.fail_after(20):
        while True:
            found = await store.staged(older_than_s=0, limit=number + 1)
            if len(found) == number:
                return found
            await anyio.sleep(0.01)


async def test_what_a_dead_process_left_is_swept(
    store: BlobStore, steps: Any, s3_server: S3Server, s3_bucket: str
) -> None:
    """Its parts are found under its upload and aborted; what it held in memory went with it."""
    upload_id = ObjectId.new()
    done = run(DIES, s3_server, s3_bucket, upload_id)
    assert done.returncode == 9, done.stderr
    left = await store.staged(older_than_s=0, limit=10)
    assert [each.upload_id for each in left] == [upload_id]
    assert await store.staged(older_than_s=3600, limit=10) == []
    await store.discard(left)
    await store.discard(left)
    assert await store.staged(older_than_s=0, limit=10) == []
    assert await steps.locators() == []


def test_memory_of_a_large_upload_is_bounded(s3_server: S3Server, s3_bucket: str) -> None:
    """128 MiB in parts of 5 MiB, two under way: some parts' worth of memory, however large."""
    done = run(GROWS, s3_server, s3_bucket)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 60


async def test_large_and_small_are_walked_together(store: BlobStore, steps: Any) -> None:
    """Page by page, each once and in order, whether in memory or in the bucket."""
    bodies = [steps.big, b"small", steps.big, b"small", steps.big]
    uploads = [await steps.stage(body) for body in bodies]
    try:
        await listed(store, 5)
        seen: list[StagedEntry] = []
        after: str | None = None
        while page := await store.staged(older_than_s=0, limit=1, after=after):
            assert len(page) == 1
            seen += page
            after = page[-1].entry
        assert len({each.upload_id for each in seen}) == len(seen) == 5
        assert seen == sorted(seen, key=lambda each: each.entry)
        assert seen == await store.staged(older_than_s=0, limit=9)
    finally:
        for staged in uploads:
            await staged.aclose()
    assert await store.staged(older_than_s=0, limit=9) == []


async def test_parts_discarded_under_their_upload(store: BlobStore, steps: Any) -> None:
    """An upload whose parts are gone fails; one whose parts were faster has every byte."""
    placed = False
    async with await store.stage(ObjectId.new()) as staged:
        await staged.write(steps.big)
        await store.discard(await store.staged(older_than_s=0, limit=9))
        with suppress(Unavailable):
            await staged.write(steps.big)
            await staged.finish()
            await store.place(staged, NO_HASH)
            placed = True
    found = await steps.locators()
    assert len(found) == int(placed)
    for locator in found:
        assert await steps.read(locator) == steps.big * 2
    # A part that was under way may outlive the abort, by S3's own word: then it takes another.
    await store.discard(await store.staged(older_than_s=0, limit=9))
    assert await store.staged(older_than_s=0, limit=9) == []


async def test_a_placed_large_blob_survives_the_sweeper(store: BlobStore, steps: Any) -> None:
    """An entry that was listed before its upload was placed aborts nothing."""
    async with await steps.stage(steps.big) as staged:
        found = await listed(store, 1)
        locator = await store.place(staged, NO_HASH)
    await store.discard(found)
    assert await steps.read(locator) == steps.big


async def test_a_list_that_does_not_come_ends_in_time(
    opened: OpenStore, proxy: FaultyProxy
) -> None:
    """After the deadline of a call, whatever a single attempt may take."""
    async with opened(timeout_s=60, deadline_s=0.3) as store:
        proxy.on("GET", "hold", match="uploads")
        with anyio.fail_after(SOON_S), pytest.raises(Unavailable, match="in time"):
            await store.staged(older_than_s=0, limit=1)
        assert proxy.held.is_set()
        proxy.heal()
        assert await store.staged(older_than_s=0, limit=1) == []


def test_a_silent_server_does_not_hold_a_process_that_ends(
    s3_server: S3Server, s3_bucket: str, proxy: FaultyProxy
) -> None:
    """It is told to while it waits for a list, and does not wait for that any more."""
    proxy.on("GET", "hold", match="uploads")
    words = [f"s3://{s3_bucket}/pre/fix", proxy.endpoint, s3_server.access_key]
    with subprocess.Popen([sys.executable, "-c", LISTS, *words, s3_server.secret_key]) as process:
        try:
            assert proxy.held.wait(60)
            process.send_signal(signal.SIGTERM)
            assert process.wait(SOON_S) == 0
        finally:
            process.kill()


async def test_more_than_the_parts_can_hold(
    opened: OpenStore, monkeypatch: pytest.MonkeyPatch, steps_on: Any
) -> None:
    """An upload that would need more parts than the store takes is refused before it fails."""
    monkeypatch.setattr(_staged, "PARTS_MAX", 2)
    async with opened(part_bytes=5 * MIB) as store:
        with pytest.raises(TooLarge, match="10485760 bytes"):
            await steps_on(store).place(bytes(10 * MIB + 1))
        assert await store.staged(older_than_s=0, limit=9) == []
        assert len(await steps_on(store).place(bytes(10 * MIB))) > 0


async def test_a_failing_sweep_tries_every_entry(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """One abort that fails does not keep the others, and is reported."""
    async with opened(retries=0) as store:
        uploads = [await steps_on(store).stage(steps_on(store).big) for _ in range(3)]
        found = await listed(store, 3)
        proxy.on("DELETE", "status", match="uploadId", times=1)
        with pytest.raises(Unavailable):
            await store.discard(found)
        assert len(await store.staged(older_than_s=0, limit=9)) == 1
        for staged in uploads:
            await staged.aclose()


async def test_more_uploads_than_a_page(
    store: BlobStore, s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list is asked for page by page, in the server's own words, and each comes once."""
    multiparts = find_multiparts(s3_server.options(s3_bucket, "pre/fix"))
    assert multiparts is not None
    send = multiparts._send

    async def send_small(call: Any, method: str, key: str, query: dict[str, str]) -> bytes:
        return await send(call, method, key, {**query, "max-uploads": "2"})

    monkeypatch.setattr(multiparts, "_send", send_small)
    uploads = [await store.stage(ObjectId.new()) for _ in range(5)]
    try:
        for staged in uploads:
            await staged.write(bytes(6 * MIB))
        found = [each.locator async for each in multiparts.under("hot/blobs")]
        assert len(found) == len(set(found)) == 5
    finally:
        for staged in uploads:
            await staged.aclose()
