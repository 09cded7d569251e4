"""The gatherer: many requests, one round trip, and nobody waits for ever."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import pytest
from anyio.lowlevel import checkpoint

from juststorage.errors import Unavailable
from juststorage.plugins import Gatherer

pytest_plugins = ["juststorage.testing.fixtures"]


class Backend:
    """Answers with ten times the item; waits where the test wants it; refuses negative ones."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.go_on = anyio.Event()
        self.entered = anyio.Event()
        self.fails: Exception | None = None

    async def __call__(self, items: Sequence[int]) -> Sequence[int | BaseException]:
        self.batches.append(list(items))
        self.entered.set()
        await self.go_on.wait()
        if self.fails is not None:
            raise self.fails
        return [ValueError(str(item)) if item < 0 else item * 10 for item in items]


@pytest.fixture
async def backend() -> Backend:
    """A backend that waits for `go_on`."""
    return Backend()


async def settle() -> None:
    """Let every task run until it waits."""
    for _ in range(10):
        await checkpoint()


class Callers:
    """Submits items, each in a task of its own, and keeps what they got."""

    def __init__(self, gatherer: Gatherer[int, int], tasks: anyio.abc.TaskGroup) -> None:
        self.gatherer = gatherer
        self.tasks = tasks
        self.got: dict[int, int | BaseException] = {}

    async def _call(self, item: int, scope: anyio.CancelScope) -> None:
        with scope:
            try:
                self.got[item] = await self.gatherer.submit(item)
            except (ValueError, Unavailable) as error:
                self.got[item] = error

    async def start(self, *items: int) -> list[anyio.CancelScope]:
        """Submit, and wait until they are queued; the scopes cancel them."""
        scopes = [anyio.CancelScope() for _ in items]
        for item, scope in zip(items, scopes, strict=True):
            self.tasks.start_soon(self._call, item, scope)
        await settle()
        return scopes


async def test_what_arrives_meanwhile_goes_together(backend: Backend) -> None:
    """The first goes alone at once, the others as one batch when it is back."""
    async with Gatherer(backend, batch_max=10) as gatherer, anyio.create_task_group() as tasks:
        callers = Callers(gatherer, tasks)
        await callers.start(1)
        await callers.start(2, 3, 4)
        assert (backend.batches, gatherer.depth) == ([[1]], 3)
        backend.go_on.set()
        await settle()
        assert backend.batches == [[1], [2, 3, 4]]
        assert callers.got == {1: 10, 2: 20, 3: 30, 4: 40}
        assert gatherer.depth == 0


async def test_a_batch_has_a_limit(backend: Backend) -> None:
    """No call is larger than `batch_max`."""
    async with Gatherer(backend, batch_max=2) as gatherer, anyio.create_task_group() as tasks:
        callers = Callers(gatherer, tasks)
        await callers.start(1, 2, 3, 4, 5, 6)
        backend.go_on.set()
        await settle()
        assert max(map(len, backend.batches)) == 2
        assert callers.got == {item: item * 10 for item in range(1, 7)}


async def test_calls_have_a_limit(backend: Backend) -> None:
    """At most `calls_max` are under way; the rest waits."""
    async with (
        Gatherer(backend, batch_max=1, calls_max=2) as gatherer,
        anyio.create_task_group() as tasks,
    ):
        callers = Callers(gatherer, tasks)
        await callers.start(1)
        await callers.start(2)
        await callers.start(3)
        assert (len(backend.batches), gatherer.depth) == (2, 1)
        backend.go_on.set()
        await settle()
        assert callers.got == {1: 10, 2: 20, 3: 30}


async def test_one_bad_item_is_its_callers_alone(backend: Backend) -> None:
    """An exception among the answers goes to its item, the others get theirs."""
    backend.go_on.set()
    async with Gatherer(backend, batch_max=10) as gatherer, anyio.create_task_group() as tasks:
        callers = Callers(gatherer, tasks)
        await callers.start(1, -2, 3)
        assert isinstance(callers.got[-2], ValueError)
        assert (callers.got[1], callers.got[3]) == (10, 30)


async def test_a_call_that_fails_fails_for_all(backend: Backend) -> None:
    """What `call` raises is everyone's answer, and the next batch is tried anew."""
    backend.go_on.set()
    backend.fails = Unavailable("down")
    async with Gatherer(backend, batch_max=10) as gatherer, anyio.create_task_group() as tasks:
        callers = Callers(gatherer, tasks)
        await callers.start(1, 2)
        assert callers.got == {1: backend.fails, 2: backend.fails}
        backend.fails = None
        await callers.start(3)
        assert callers.got[3] == 30


async def test_who_is_gone_before_the_batch_is_not_sent(backend: Backend) -> None:
    """A cancelled caller's item is dropped from the queue."""
    async with Gatherer(backend, batch_max=10) as gatherer, anyio.create_task_group() as tasks:
        callers = Callers(gatherer, tasks)
        await callers.start(1)
        scopes = await callers.start(2, 3)
        scopes[0].cancel()
        await settle()
        backend.go_on.set()
        await settle()
        assert backend.batches == [[1], [3]]
        assert callers.got == {1: 10, 3: 30}


async def test_a_queue_of_gone_callers_makes_no_call(backend: Backend) -> None:
    """When all that wait are gone there is nothing to send."""
    async with Gatherer(backend, batch_max=10) as gatherer, anyio.create_task_group() as tasks:
        callers = Callers(gatherer, tasks)
        await callers.start(1)
        (scope,) = await callers.start(2)
        scope.cancel()
        await settle()
        backend.go_on.set()
        await settle()
        assert backend.batches == [[1]]


@pytest.mark.parametrize("fails", [None, Unavailable("down")])
async def test_who_goes_during_the_call_is_not_missed(
    backend: Backend, fails: Exception | None
) -> None:
    """The answer of a cancelled caller is dropped; the others get theirs."""
    backend.fails = fails
    async with Gatherer(backend, batch_max=10) as gatherer, anyio.create_task_group() as tasks:
        callers = Callers(gatherer, tasks)
        scopes = await callers.start(1, -2, 3)
        scopes[0].cancel()
        scopes[1].cancel()
        await settle()
        backend.go_on.set()
        await settle()
        assert 1 not in callers.got
        assert callers.got[3] == (fails or 30)


async def test_closing_leaves_nobody_waiting(backend: Backend) -> None:
    """Callers in the queue and in the call hear that the service closes."""
    async with anyio.create_task_group() as tasks:
        async with Gatherer(backend, batch_max=1) as gatherer:
            callers = Callers(gatherer, tasks)
            (gone, _, _) = await callers.start(1, 2, 3)
            (late,) = await callers.start(4)
            gone.cancel()
            late.cancel()
            await settle()
        await settle()
    assert set(callers.got) == {2, 3}
    assert all(isinstance(answer, Unavailable) for answer in callers.got.values())


async def test_a_closed_gatherer_takes_nothing(backend: Backend) -> None:
    """Before it is open and after it is closed a call is refused at once."""
    gatherer = Gatherer(backend, batch_max=1)
    with pytest.raises(Unavailable):
        await gatherer.submit(1)
    async with gatherer:
        pass
    with pytest.raises(Unavailable):
        await gatherer.submit(1)
    assert backend.batches == []
