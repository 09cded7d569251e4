"""Removals and readiness over a line that fails: a late one hits no blob that lives."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from juststorage.domain import ObjectId
from juststorage.errors import Unavailable
from juststorage.ports import BlobStore
from juststorage.testing import make_content
from juststorage_objectstore.testing import FaultyProxy, S3Server

OpenStore = Callable[..., AbstractAsyncContextManager[BlobStore]]
BLOB = "/blobs/"


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
