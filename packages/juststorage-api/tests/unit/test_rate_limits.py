"""Rate limits: what is let in, what is not, and how processes tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import anyio
import pytest

from juststorage.config import Limits as Bounds
from juststorage.config import RateLimits as Options
from juststorage.domain import Principal, TenantId
from juststorage.errors import RateLimited, Unavailable
from juststorage.testing import FakeClock
from juststorage_api._exchange import Exchange
from juststorage_api._rate_limits import RateLimits

pytest_plugins = ["juststorage.testing.fixtures"]


def exchange(subject: str = "alice", peer: str = "192.0.2.1") -> Exchange:
    """A request of somebody."""

    async def nothing(*_: Any) -> Any:
        raise AssertionError("nobody is there")

    made = Exchange(
        {"method": "GET", "client": (peer, 1)},
        nothing,
        nothing,
        path=b"/v1/objects",
        fields={},
        request_id=b"request-1",
        bounds=Bounds(),
    )
    made.principal = Principal(subject=subject, tenants=None, scopes=frozenset())
    return made


def request(limits: RateLimits, subject: str = "alice", tenant: str = "", **more: Any) -> bool:
    """Whether a request is let in."""
    made = exchange(subject, **more)
    try:
        limits.admit(made)
        if tenant:
            made.tenant_id = TenantId(tenant)
    except RateLimited:
        return False
    return True


def transfer(limits: RateLimits, sent_bytes: int, subject: str = "alice", tenant: str = "") -> bool:
    """A request that moves bytes; whether it is let in."""
    made = exchange(subject)
    try:
        limits.admit(made)
        if tenant:
            made.tenant_id = TenantId(tenant)
    except RateLimited:
        return False
    made.sent_bytes, made.received_bytes = sent_bytes - sent_bytes // 2, sent_bytes // 2
    limits.charge(made)
    return True


class Store:
    """Counters that several processes share, and that can be away."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, str], int] = {}
        self.is_away = False
        self.asked = 0

    async def add(self, window: int, amounts: Mapping[str, int]) -> Mapping[str, int]:
        self.asked += 1
        if self.is_away:
            raise Unavailable("the store is away")
        for name, amount in amounts.items():
            self.sums[window, name] = self.sums.get((window, name), 0) + amount
        return {name: self.sums[window, name] for name in amounts}


async def test_requests_of_a_credential(fake_clock: FakeClock) -> None:
    """The one after the last is refused, others are not; a new window begins at nothing."""
    limits = RateLimits(Options(window_s=60, requests_per_key=3), fake_clock)
    await fake_clock.advance(13)
    assert [request(limits) for _ in range(5)] == [True, True, True, False, False]
    assert request(limits, "bob")
    await fake_clock.advance(46.5)
    assert not request(limits)
    await fake_clock.advance(0.5)
    assert [request(limits) for _ in range(4)] == [True, True, True, False]


async def test_a_refusal_says_when_to_return(fake_clock: FakeClock) -> None:
    """The rest of the window, in whole seconds, never 0."""
    limits = RateLimits(Options(window_s=60, requests_per_key=1), fake_clock)
    request(limits)
    for passed, left in ((0.0, 60), (13.5, 47), (46.4, 1)):
        await fake_clock.advance(passed)
        with pytest.raises(RateLimited) as caught:
            limits.admit(exchange())
        assert caught.value.fields == {"retry_after_s": left, "limit": 1, "window_s": 60}
        assert "requests of this credential" in caught.value.detail


def test_requests_of_a_tenant(fake_clock: FakeClock) -> None:
    """All credentials together; one that is refused for its tenant may go on for another."""
    limits = RateLimits(Options(requests_per_tenant=2), fake_clock)
    assert request(limits, "alice", "t1")
    assert request(limits, "bob", "t1")
    assert not request(limits, "carol", "t1")
    assert request(limits, "carol", "t2")
    assert request(limits, "carol")


def test_a_tenant_is_counted_once_for_a_request(fake_clock: FakeClock) -> None:
    """However often a handler says which one it is."""
    limits = RateLimits(Options(requests_per_tenant=2), fake_clock)
    made = exchange()
    limits.admit(made)
    for _ in range(5):
        made.tenant_id = TenantId("t1")
    assert request(limits, tenant="t1")
    assert not request(limits, tenant="t1")


@pytest.mark.parametrize("who", ["key", "tenant"])
def test_bytes(fake_clock: FakeClock, who: str) -> None:
    """What has begun may end, whatever it moves; then nothing more begins."""
    limits = RateLimits(Options(**{f"bytes_per_{who}": 100}), fake_clock)  # type: ignore[arg-type]
    assert transfer(limits, 99, tenant="t1")
    assert transfer(limits, 1_000_001, tenant="t1")
    assert not transfer(limits, 0, tenant="t1")
    assert transfer(limits, 0, subject="bob", tenant="t2")


def test_nobodies_are_told_apart_by_address(fake_clock: FakeClock) -> None:
    """One visitor of a public namespace does not use up what the others have."""
    limits = RateLimits(Options(requests_per_key=1), fake_clock)
    assert request(limits, "anonymous", peer="192.0.2.1")
    assert not request(limits, "anonymous", peer="192.0.2.1")
    assert request(limits, "anonymous", peer="192.0.2.2")


def test_headers_are_about_the_nearest_limit(fake_clock: FakeClock) -> None:
    """Of the request limits the one with the least left; none where there is none."""
    limits = RateLimits(Options(requests_per_key=4, requests_per_tenant=100), fake_clock)
    for _ in range(90):
        request(limits, "others", "t1") or request(limits, f"more{_}", "t1")
    made = exchange()
    limits.admit(made)
    assert dict(limits.headers(made))[b"ratelimit-remaining"] == b"3"
    made.tenant_id = TenantId("t1")
    shown = dict(limits.headers(made))
    assert shown[b"ratelimit-limit"] == b"100"
    assert int(shown[b"ratelimit-remaining"]) < 10
    assert shown[b"ratelimit-policy"] == b"100;w=60"
    assert shown[b"ratelimit-reset"] == b"60"
    other = RateLimits(Options(bytes_per_key=4), fake_clock)
    made = exchange()
    other.admit(made)
    assert other.headers(made) == []


def test_no_limit_is_no_limit(fake_clock: FakeClock) -> None:
    """Without any there is nothing to ask."""
    assert RateLimits.of(Options(shared=True), fake_clock, Store().add) is None


async def test_processes_share_their_counts(fake_clock: FakeClock) -> None:
    """After a sync each knows what the other let in: together no more than the limit."""
    store = Store()
    options = Options(requests_per_key=10, shared=True)
    one, two = (RateLimits(options, fake_clock, store.add) for _ in range(2))
    assert all(request(one) for _ in range(4))
    assert all(request(two) for _ in range(4))
    for limits in (one, two, one):
        await limits.sync()
    let_in = [request(one), request(one), request(one)]
    assert let_in == [True, True, False]
    await one.sync()
    await two.sync()
    assert not request(two)


async def test_between_two_syncs_a_limit_may_be_exceeded(fake_clock: FakeClock) -> None:
    """By what each process lets through meanwhile, which is at most the limit; never after it."""
    store = Store()
    options = Options(requests_per_key=10, shared=True)
    workers = [RateLimits(options, fake_clock, store.add) for _ in range(4)]
    assert sum(request(each) for each in workers for _ in range(50)) == 40
    for _ in range(2):
        for each in workers:
            await each.sync()
    assert not any(request(each) for each in workers)
    assert set(store.sums.values()) == {40}


async def test_what_happens_during_a_sync_is_not_lost(fake_clock: FakeClock) -> None:
    """Requests that come while the store answers are told the next time."""
    store, gate, asked = Store(), anyio.Event(), anyio.Event()

    async def slowly(window: int, amounts: Mapping[str, int]) -> Mapping[str, int]:
        asked.set()
        await gate.wait()
        return await store.add(window, amounts)

    limits = RateLimits(Options(requests_per_key=10, shared=True), fake_clock, slowly)
    request(limits)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(limits.sync)
        await asked.wait()
        assert all(request(limits) for _ in range(3))
        gate.set()
    assert [request(limits) for _ in range(7)] == [True] * 6 + [False]
    await limits.sync()
    assert set(store.sums.values()) == {10}


async def test_a_store_that_is_away(fake_clock: FakeClock) -> None:
    """Each process goes on with what it knows, and tells all of it later."""
    store = Store()
    limits = RateLimits(Options(requests_per_key=5, shared=True), fake_clock, store.add)
    store.is_away = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(limits.run)
        request(limits)
        for _ in range(3):
            while not fake_clock.sleepers:
                await anyio.lowlevel.checkpoint()
            await fake_clock.advance(0.5)
            while not fake_clock.sleepers:
                await anyio.lowlevel.checkpoint()
        assert store.asked == 3
        assert [request(limits) for _ in range(5)] == [True] * 4 + [False]
        store.is_away = False
        await fake_clock.advance(0.5)
        while not fake_clock.sleepers:
            await anyio.lowlevel.checkpoint()
        assert set(store.sums.values()) == {5}
        tasks.cancel_scope.cancel()


async def test_what_is_not_shared_is_not_told(fake_clock: FakeClock) -> None:
    """Counts of one process stay there, and nothing runs in the background."""
    store = Store()
    limits = RateLimits.of(Options(requests_per_key=1), fake_clock, store.add)
    assert limits is not None
    request(limits)
    await limits.run()
    await limits.sync()
    assert store.asked == 0
