"""Writers that have seen the same thing, and requests that are sent twice, on every store."""

from __future__ import annotations

from collections import Counter
from typing import Any

import anyio
import pytest
from msgspec.structs import replace

from juststorage.domain import Conditions, IdempotencyKey, ObjectId
from juststorage.errors import (
    IdempotencyInFlight,
    KeyConflict,
    PreconditionFailed,
    Unavailable,
)
from juststorage.testing import make_content
from tests.races.points import Killed
from tests.races.world import TENANT, Process, World

DATA = b"what all of them have seen"
SEEN = Conditions(if_match=frozenset({make_content(DATA).content_hash}))
CREATE = Conditions(if_none_match=frozenset())


async def all_at_once(calls: list[Any]) -> Counter[str]:
    """What became of calls that are made together: `done`, or the name of the error."""
    outcomes: Counter[str] = Counter()

    async def one(call: Any) -> None:
        try:
            await call()
            outcomes["done"] += 1
        except (PreconditionFailed, KeyConflict, IdempotencyInFlight) as error:
            outcomes[type(error).__name__] += 1

    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(one, call)
    return outcomes


@pytest.mark.parametrize("way", ["upload", "stream"])
async def test_of_many_writers_with_one_tag_one_wins(world: World, way: str) -> None:
    """PUTs with If-Match, in two processes, round after round: one each time."""
    processes = await world.two()
    await processes[0].upload(DATA, "key", replace=True)
    for number in range(3):
        calls = [
            lambda each=each: getattr(processes[each % 2], way)(
                b"%d of round %d" % (each, number),  # noqa: B023 - called within the round
                "key",
                replace=True,
                conditions=SEEN,
            )
            for each in range(10)
        ]
        assert await all_at_once(calls) == {"done": 1, "PreconditionFailed": 9}
        await processes[0].upload(DATA, "key", replace=True)


@pytest.mark.parametrize("way", ["upload", "stream"])
async def test_of_many_creators_one_wins(world: World, way: str) -> None:
    """PUTs with If-None-Match: *, in two processes."""
    processes = await world.two()
    calls = [
        lambda each=each: getattr(processes[each % 2], way)(
            b"by %d" % each, "key", replace=True, conditions=CREATE
        )
        for each in range(10)
    ]
    assert await all_at_once(calls) == {"done": 1, "PreconditionFailed": 9}


async def test_a_swap_against_a_move_and_a_delete(world: World) -> None:
    """Whatever else has the tag in its hand, one of them all gets through."""
    process, other = await world.two()
    seen = await process.upload(DATA, "key", replace=True)

    async def delete() -> None:
        await other.metadata.objects.delete(TENANT, seen, conditions=SEEN)
        world.forget(seen)

    calls: list[Any] = [
        lambda: process.upload(b"swapped", "key", replace=True, conditions=SEEN),
        lambda: other.stream(b"swapped as well", "key", replace=True, conditions=SEEN),
    ]

    async def run(call: Any) -> str:
        try:
            await call()
        except Exception as error:  # noqa: BLE001 - counted
            return type(error).__name__
        return "done"

    outcomes: list[str] = []

    async def one(call: Any) -> None:
        outcomes.append(await run(call))

    async with anyio.create_task_group() as tasks:
        for call in (*calls, delete):
            tasks.start_soon(one, call)
    assert outcomes.count("done") == 1
    assert set(outcomes) <= {"done", "PreconditionFailed", "NotFound"}


# -- requests that are sent twice -----------------------------------------------------------------


def keyed(process: Process, text: str = "key-1") -> Any:
    """An upload with an idempotency key."""
    key = IdempotencyKey(text=text, request="a request", ttl_s=3600)
    return replace(process.intent(), idempotency=key)


async def objects_of(process: Process) -> list[ObjectId]:
    """The ids of all committed objects."""
    found = await process.runtime.metadata.objects.scan(after=None, limit=1000)
    return [each.id for each in found if each.status == "COMMITTED"]


async def test_a_crash_between_commit_and_answer(world: World) -> None:
    """The retry, in another process, gets the answer that was never sent (R09)."""
    for where in ("after objects.commit", "after objects.begin_reserved"):
        alive, dying = await world.two()
        dying.points.stop(where).fail(Killed())
        with pytest.raises(Killed):
            await dying.upload(DATA, intent=keyed(dying, where.replace(" ", "-")))
        dying.points.kill()
        before = await objects_of(alive)
        assert before
        answered = await alive.upload(DATA, intent=keyed(alive, where.replace(" ", "-")))
        assert answered in before
        assert await objects_of(alive) == before
        assert await alive.read(answered) == DATA


async def test_r09_death_at_every_point_of_a_retried_upload(world: World) -> None:
    """Wherever it dies, the retries end in exactly one object."""
    alive, dying = await world.two()
    number, done = 0, False
    while not done:
        number += 1
        assert number < 40, "the upload never ends"
        dying = world.again(dying, f"dying {number}")
        text, data = f"key-{number}", b"content %d" % number
        dying.points.kill_at(number)
        try:
            await dying.upload(data, intent=keyed(dying, text), lease_s=0)
            done = True
        except Killed:
            pass
        ids = {await alive.upload(data, intent=keyed(alive, text)) for _ in range(2)}
        assert len(ids) == 1
        assert len(await objects_of(alive)) == number
        await world.check()
    assert number > 4


async def test_a_commit_whose_answer_is_lost_on_the_way(world: World) -> None:
    """Committed, the answer cut off, and the look fails too: the retry knows."""
    process, other = await world.two()
    process.stop("after objects.commit").fail(Unavailable("cut off"))
    process.stop("before objects.find").fail(Unavailable("still cut off"))
    with pytest.raises(Unavailable):
        await process.upload(DATA, intent=keyed(process))
    [stored] = await objects_of(other)
    assert await other.upload(DATA, intent=keyed(other)) == stored


async def test_two_processes_at_once(world: World) -> None:
    """One goes ahead; the other waits, and then gets its answer."""
    process, other = await world.two()
    async with world.together() as start:
        stop = process.stop("before objects.commit")
        first = start(process.upload, DATA, intent=keyed(process))
        await stop.reached()
        for _ in range(2):
            with pytest.raises(IdempotencyInFlight):
                await other.upload(DATA, intent=keyed(other))
        stop.go()
        assert await other.runtime.metadata.objects.find(TENANT, await first.result()) is not None
    assert await other.upload(DATA, intent=keyed(other)) == await first.result()


async def test_many_requests_with_one_key(world: World) -> None:
    """However they meet, one object is made."""
    processes = await world.two()
    for number in range(3):
        calls = [
            lambda each=each: processes[each % 2].upload(
                DATA,
                intent=keyed(processes[each % 2], f"key-{number}"),  # noqa: B023
            )
            for each in range(8)
        ]
        outcomes = await all_at_once(calls)
        assert outcomes["done"] >= 1
        assert outcomes.total() == 8
        assert len(await objects_of(processes[0])) == number + 1
