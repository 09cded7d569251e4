"""A line that fails: what is lost, late, slow or cut never costs a blob, nor makes a wrong one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from juststorage.domain import ObjectId
from juststorage.errors import StorageFull, Unavailable
from juststorage.ports import BlobStore
from juststorage_objectstore.testing import FaultyProxy

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
