"""A line that fails: what is lost, late, slow or cut never costs a blob, nor makes a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from juststorage.domain import ObjectId, StorageClass
from juststorage.errors import Corrupt, NotFound, StorageFull, Unavailable
from juststorage.ports import BlobReader, BlobStore
from juststorage.testing import make_content
from juststorage_objectstore.testing import FaultyProxy, S3Server

OpenStore = Callable[..., AbstractAsyncContextManager[BlobStore]]
BLOB = "/blobs/"


# -- putting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["status", "cut", "lose_answer"])
async def test_a_put_is_tried_again(steps: Any, proxy: FaultyProxy, fault: Any) -> None:
    """An attempt that fails, on the way there or back, is followed by another to the same name."""
    proxy.on("PUT", fault, match=BLOB, times=2)
    locator = await steps.put(b"patience")
    assert proxy.count("PUT", BLOB) == 3
    assert await steps.locators() == [locator]
    assert await steps.read(locator) == b"patience"


async def test_a_put_that_fails_for_good_leaves_nothing(steps: Any, proxy: FaultyProxy) -> None:
    """After the last attempt the caller hears of it, and nothing is there."""
    proxy.on("PUT", "status", match=BLOB, times=99)
    with pytest.raises(Unavailable, match="failed or did not answer"):
        await steps.put(b"lost")
    assert proxy.count("PUT", BLOB) == 3
    assert await steps.locators() == []


async def test_a_put_whose_answers_are_all_lost_is_looked_for(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """An object of the right size under a name of its own is the one that was sent."""
    async with opened(retries=0) as store:
        steps = steps_on(store)
        proxy.on("PUT", "lose_answer", match=BLOB)
        locator = await steps.put(b"here after all")
        assert proxy.count("PUT", BLOB) == proxy.count("HEAD", BLOB) == 1
        assert await steps.read(locator) == b"here after all"


async def test_a_put_that_hangs_ends_in_time(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """A store that says nothing is given up on after the time-outs, not after minutes."""
    async with opened(retries=1, timeout_s=0.2, deadline_s=5) as store:
        proxy.on("PUT", "hold", match=BLOB, times=99)
        with pytest.raises(Unavailable):
            await steps_on(store).put(b"hangs")
        assert proxy.count("PUT", BLOB) == 2


async def test_a_deadline_ends_all_attempts(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """However many attempts are left, a call ends with its deadline."""
    async with opened(retries=20, timeout_s=30, deadline_s=0.4) as store:
        proxy.on("PUT", "hold", match=BLOB, times=99)
        with pytest.raises(Unavailable, match="in time"):
            await steps_on(store).put(b"hangs")


async def test_a_full_store_says_so(steps: Any, proxy: FaultyProxy) -> None:
    """No room is no failure that passes by itself."""
    proxy.on("PUT", "status", match=BLOB, times=99, status=507)
    with pytest.raises(StorageFull):
        await steps.put(b"too much")


@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "POST"])
async def test_no_access_is_unavailable(steps: Any, proxy: FaultyProxy, method: str) -> None:
    """Credentials that were withdrawn are the operator's business, and no blob's absence."""
    locator = await steps.put(b"mine")
    proxy.on(method, "status", times=99, status=403)
    calls = {
        "PUT": lambda: steps.put(b"x"),
        "GET": lambda: steps.read(locator),
        "HEAD": lambda: steps.store.stat(locator),
    }
    if method in calls:
        with pytest.raises(Unavailable, match="refuses access"):
            await calls[method]()
    else:
        failures = await steps.store.remove([locator])
        assert [str(error) for error in failures.values()] == ["the object store refuses access"]
        assert proxy.count("DELETE") == 0


# -- large uploads ----------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["status", "cut", "lose_answer"])
@pytest.mark.parametrize(
    ("method", "match"),
    [("POST", r"\?uploads"), ("PUT", "partNumber=2"), ("POST", "uploadId=")],
    ids=["begin", "part", "complete"],
)
async def test_each_step_of_a_large_upload_is_tried_again(
    steps: Any, proxy: FaultyProxy, fault: Any, method: str, match: str
) -> None:
    """Begun, sent or completed twice: one object with every byte comes of it."""
    proxy.on(method, fault, match=match)
    locator = await steps.place(steps.big)
    assert await steps.locators() == [locator]
    assert await steps.read(locator) == steps.big
    left = await steps.store.staged(older_than_s=0, limit=10)
    # A beginning whose answer was lost was begun, and is the sweeper's.
    assert len(left) == (1 if (match, fault) == (r"\?uploads", "lose_answer") else 0)
    await steps.store.discard(left)
    assert await steps.store.staged(older_than_s=0, limit=10) == []
    assert await steps.read(locator) == steps.big


@pytest.mark.parametrize("match", ["partNumber=1", "partNumber=3", "uploadId="])
async def test_a_large_upload_that_fails_leaves_no_blob(
    steps: Any, proxy: FaultyProxy, match: str
) -> None:
    """Whatever step is never done, nothing is visible, and the sweeper finds what is left."""
    proxy.on("POST" if match == "uploadId=" else "PUT", "status", match=match, times=99)
    with pytest.raises(Unavailable):
        await steps.place(steps.big)
    proxy.heal()
    assert await steps.locators() == []
    await steps.store.discard(await steps.store.staged(older_than_s=0, limit=10))
    assert await steps.store.staged(older_than_s=0, limit=10) == []


async def test_completed_and_every_answer_lost(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """Whoever gets no answer to a completion looks; the object is there, so it is placed."""
    async with opened(retries=1) as store:
        steps = steps_on(store)
        proxy.on("POST", "lose_answer", match="uploadId=", times=99)
        locator = await steps.place(steps.big)
        assert await steps.read(locator) == steps.big


async def test_an_abort_that_fails_is_quiet(steps: Any, proxy: FaultyProxy) -> None:
    """Closing does not raise; what the store was not told the sweeper tells it."""
    staged = await steps.stage(steps.big)
    proxy.on("DELETE", "status", times=99)
    await staged.aclose()
    proxy.heal()
    left = await steps.store.staged(older_than_s=0, limit=10)
    assert len(left) == 1
    await steps.store.discard(left)
    assert await steps.store.staged(older_than_s=0, limit=10) == []


async def test_a_put_of_more_than_a_part_goes_in_parts(steps: Any, proxy: FaultyProxy) -> None:
    """However a large body comes in, no request is larger than a part."""
    locator = await steps.put(steps.big)
    assert proxy.count("PUT", "partNumber") == 3
    assert await steps.read(locator) == steps.big


async def test_bytes_that_were_discarded_are_not_finished(steps: Any) -> None:
    """A sweeper that took an upload for dead has the last word."""
    staged = await steps.store.stage(ObjectId.new())
    await staged.write(b"x")
    await steps.store.discard(await steps.store.staged(older_than_s=0, limit=9))
    with pytest.raises(Unavailable, match="discarded"):
        await staged.finish()
    await staged.aclose()


async def test_a_small_upload_costs_one_request(steps: Any, proxy: FaultyProxy) -> None:
    """Put, placed, or discarded: no more is asked of the store than has to be."""
    await steps.put(b"one")
    await steps.place(b"two")
    await (await steps.stage(b"none")).aclose()
    assert [line.partition(" ")[0] for line in proxy.seen] == ["PUT", "PUT"]


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


# -- removing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["status", "cut", "lose_answer"])
async def test_a_removal_is_tried_again(steps: Any, proxy: FaultyProxy, fault: Any) -> None:
    """Removing twice is removing once."""
    wanted = [await steps.put(bytes([number])) for number in range(5)]
    kept = await steps.put(b"kept")
    proxy.on("POST", fault, match=r"\?delete", times=3)
    assert await steps.store.remove(wanted) == {}
    assert await steps.locators() == [kept]


async def test_many_are_removed_in_one_request(steps: Any, proxy: FaultyProxy) -> None:
    """A collector's batch is one request to the store."""
    wanted = [await steps.put(bytes([number])) for number in range(20)]
    proxy.seen.clear()
    assert await steps.store.remove(wanted) == {}
    assert len(proxy.seen) == 1


async def test_a_store_that_is_away_is_not_asked_for_each(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """Each blob has its failure, and the collector's transaction is not held up for all of them."""
    async with opened(retries=0) as store:
        steps = steps_on(store)
        wanted = [f"hot/blobs/ab/{ObjectId.new()}.ab{number:014x}" for number in range(100)]
        proxy.on("POST", "cut", times=999)
        failures = await steps.store.remove(wanted)
        assert set(failures) == set(wanted)
        assert proxy.count("POST") <= 17


async def test_r18_a_late_delete_hits_a_dead_generation(
    opened: OpenStore, steps_on: Any, proxy: FaultyProxy
) -> None:
    """A delete that was given up on, and happens after the same bytes were stored anew."""
    async with opened(retries=0) as store:
        steps = steps_on(store)
        first = await steps.put(b"the same bytes")
        proxy.on("POST", "late", match=r"\?delete", times=99)
        assert set(await store.remove([first])) == {first}
        proxy.heal()
        assert await store.stat(first) == 14
        second = await steps.put(b"the same bytes")
        assert set(proxy.deliver()) == {200}
        assert await store.stat(first) is None
        assert await steps.read(second) == b"the same bytes"


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


# -- readiness --------------------------------------------------------------------------------


async def test_a_ping_is_cheap(steps: Any, proxy: FaultyProxy) -> None:
    """While uploads prove that the store can be written, a ping only reads."""
    for _ in range(3):
        await steps.store.ping()
    assert [line.partition(" ")[0] for line in proxy.seen] == ["HEAD"] * 3


async def test_a_ping_writes_when_nothing_else_did(
    opened: OpenStore, fake_clock: Any, proxy: FaultyProxy
) -> None:
    """After a minute without an upload the ping proves it itself."""
    async with opened(clock=fake_clock) as store:
        await fake_clock.advance(61)
        await store.ping()
        await store.ping()
        assert [line.partition(" ")[0] for line in proxy.seen] == ["PUT", "HEAD", "HEAD"]


@pytest.mark.parametrize(("method", "status"), [("HEAD", 500), ("HEAD", 403)])
async def test_a_ping_tells_that_the_store_is_away(
    opened: OpenStore, proxy: FaultyProxy, method: str, status: int
) -> None:
    """Readiness fails while the store does, and comes back with it."""
    async with opened(retries=0) as store:
        proxy.on(method, "status", status=status)
        with pytest.raises(Unavailable):
            await store.ping()
        await store.ping()


async def test_a_lost_probe_is_made_again(
    steps: Any, s3_server: S3Server, s3_bucket: str, proxy: FaultyProxy
) -> None:
    """Whoever tidies the bucket up does not make the service unready."""
    if s3_server.root is None:
        pytest.skip("only of a server of our own can an object be taken away")
    (s3_server.root / s3_bucket / "pre/fix/hot/probe").unlink()
    await steps.store.ping()
    assert proxy.count("PUT") == 1


async def test_a_digest_is_not_the_stores_business(steps: Any) -> None:
    """Two uploads of one content have two names, which tell the upload and not the content."""
    upload_id = ObjectId.new()
    content_hash = make_content(b"x").content_hash
    one = await steps.store.put(upload_id, content_hash, b"x")
    two = await steps.store.put(upload_id, content_hash, b"x")
    assert one != two
    found = await steps.store.scan(after=None, limit=10)
    assert [(each.upload_id, each.content_hash) for each in found] == [(upload_id, None)] * 2
