"""Reads and walks over a line that fails: right bytes or an error, never an end too early."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from juststorage.domain import StorageClass
from juststorage.errors import Corrupt, NotFound, Unavailable
from juststorage.ports import BlobReader, BlobStore
from juststorage_objectstore.testing import FaultyProxy, S3Server

OpenStore = Callable[..., AbstractAsyncContextManager[BlobStore]]
BLOB = "/blobs/"


# -- reading ----------------------------------------------------------------------------------


async def test_a_small_read_costs_one_request(steps: Any, proxy: FaultyProxy) -> None:
    """Size and bytes come with one answer."""
    locator = await steps.put(b"one")
    proxy.seen.clear()
    async with await steps.store.open(locator) as reader:
        assert reader.read_now(0, 3) == b"one"
    assert [line.partition(" ")[0] for line in proxy.seen] == ["GET"]


@pytest.mark.parametrize("passed", [0, 1, 300_000, 4_000_000])
async def test_a_read_goes_on_behind_a_cut(steps: Any, proxy: FaultyProxy, passed: int) -> None:
    """The bytes that came are not asked for again, and none is missing or twice."""
    locator = await steps.place(steps.big)
    proxy.on("GET", "cut_answer", match=BLOB, skip=1, body_bytes=passed, times=3)
    assert await steps.read(locator) == steps.big
    proxy.on("GET", "cut_answer", match=BLOB, skip=1, body_bytes=passed)
    assert await steps.read(locator, 1_000_001, 9_000_000) == steps.big[1_000_001:9_000_000]


@pytest.mark.parametrize("fault", ["status", "cut", "lose_answer", "cut_answer"])
async def test_opening_is_tried_again(steps: Any, proxy: FaultyProxy, fault: Any) -> None:
    """Before the first byte is sent to anyone, failures are repaired unseen."""
    locator = await steps.put(bytes(100_000))
    proxy.on("GET", fault, match=BLOB, times=2, body_bytes=777)
    assert await steps.read(locator) == bytes(100_000)


@pytest.mark.parametrize("fault", ["status", "cut", "cut_answer"])
async def test_a_read_that_cannot_go_on_fails(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy, fault: Any
) -> None:
    """What came is right, and the end is an error, never a short body."""
    async with opened(retries=1) as store:
        steps = steps_on(store)
        locator = await steps.place(steps.big)
        got: list[bytes] = []

        async def collect(reader: BlobReader) -> None:
            async for piece in reader.chunks(0, reader.size_bytes):
                got.append(piece)  # noqa: PERF401  what came before the failure counts

        async with await store.open(locator) as reader:
            proxy.on("GET", fault, match=BLOB, times=99, body_bytes=0)
            with pytest.raises(Unavailable):
                await collect(reader)
        assert got and steps.big.startswith(b"".join(got))


async def test_a_silent_answer_is_given_up_on(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """Reading waits for a store no longer than it is told to."""
    async with opened(retries=0, timeout_s=0.2) as store:
        steps = steps_on(store)
        locator = await steps.put(b"slow")
        proxy.on("GET", "hold", match=BLOB, times=99)
        with pytest.raises(Unavailable):
            await store.open(locator)


async def test_a_failing_store_is_not_an_absent_blob(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """Only the store's own word makes a blob absent."""
    async with opened(retries=0) as store:
        steps = steps_on(store)
        locator = await steps.put(b"there")
        proxy.on("HEAD", "status", times=2, status=503)
        with pytest.raises(Unavailable):
            await store.stat(locator)
        with pytest.raises(Unavailable):
            await store.sizes([locator])
        await store.remove([locator])
        assert await store.sizes([locator]) == {locator: None}
        with pytest.raises(NotFound):
            await store.open(locator)


async def test_a_bucket_that_is_gone_is_not_an_absent_blob(
    steps: Any, s3_server: S3Server, s3_bucket: str
) -> None:
    """Whoever deletes the bucket does not make the service forget its blobs one by one."""
    if s3_server.root is None:
        pytest.skip("only of a server of our own can a bucket be taken away")
    locator = await steps.put(b"there")
    (s3_server.root / s3_bucket).rename(s3_server.root / f"{s3_bucket}-away")
    with pytest.raises(Unavailable, match="bucket does not exist"):
        await steps.store.open(locator)
    failures = await steps.store.remove([locator])
    assert [str(error) for error in failures.values()] == ["the bucket does not exist"]
    with pytest.raises(Unavailable, match="bucket does not exist"):
        await steps.put(b"nowhere")


async def test_an_object_that_changed_under_its_reader(
    steps: Any, s3_server: S3Server, s3_bucket: str
) -> None:
    """Names are used once. An object that differs from what was opened is nobody's blob."""
    if s3_server.root is None:
        pytest.skip("only in a server of our own can an object be changed")
    locator = await steps.place(steps.big)
    async with await steps.store.open(locator) as reader:
        assert reader.read_now(0, reader.size_bytes) is None
        (s3_server.root / s3_bucket / "pre/fix" / locator).write_bytes(steps.big + b"more")
        chunks = reader.chunks(0, reader.size_bytes)
        assert steps.big.startswith(await anext(chunks))
        with pytest.raises(Corrupt):
            await anext(chunks)
        await chunks.aclose()


# -- walking ----------------------------------------------------------------------------------


async def test_a_walk_fails_rather_than_ending_early(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """An end that is none would make the auditor believe that blobs are missing."""
    async with opened(retries=0) as store:
        steps = steps_on(store)
        await steps.put(b"x")
        proxy.on("GET", "status", match=r"[?&]uploads", status=403)
        with pytest.raises(Unavailable, match="refuses access"):
            await store.staged(older_than_s=0, limit=10)
        for fault in ("status", "cut", "lose_answer"):
            proxy.on("GET", fault, match="list-type")
            with pytest.raises(Unavailable):
                await store.scan(after=None, limit=10)
            proxy.on("GET", fault, match=r"[?&]uploads")
            with pytest.raises(Unavailable):
                await store.staged(older_than_s=0, limit=10)
        assert len(await store.scan(after=None, limit=10)) == 1


async def test_a_walk_sees_this_store_alone(
    opened: OpenStore, store: BlobStore, steps: Any, steps_on: Any
) -> None:
    """Two classes may share a bucket and a prefix: neither sees, or sweeps, the other's."""
    async with opened(storage_class=StorageClass.COLD) as other:
        cold = steps_on(other)
        in_hot, in_cold = await steps.put(b"x"), await cold.put(b"x")
        assert await steps.locators() == [in_hot]
        assert await cold.locators() == [in_cold]
        async with await steps.stage(steps.big), await cold.stage(b"small"):
            hot_ids = {each.upload_id for each in await store.staged(older_than_s=0, limit=9)}
            cold_ids = {each.upload_id for each in await other.staged(older_than_s=0, limit=9)}
            assert len(hot_ids) == len(cold_ids) == 1 and hot_ids.isdisjoint(cold_ids)
