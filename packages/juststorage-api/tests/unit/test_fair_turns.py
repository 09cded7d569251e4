"""FairTurns: one piece in each round of the event loop, whoever's it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress

import pytest

from juststorage_api._data._fair_turns import FairTurns

pytestmark = pytest.mark.anyio


async def _send(turns: FairTurns, pieces: int, sent: Callable[[], None]) -> None:
    for _ in range(pieces):
        await turns.take()
        sent()


async def test_no_round_has_more_than_one_piece() -> None:
    """However many bodies are ready."""
    turns, sent, before, rounds = FairTurns(), [0], 0, []

    def one_more() -> None:
        sent[0] += 1

    async with asyncio.TaskGroup() as bodies:
        for _ in range(50):
            bodies.create_task(_send(turns, 4, one_more))
        while sent[0] < 200:
            await asyncio.sleep(0)
            rounds.append(sent[0] - before)
            before = sent[0]
    assert max(rounds) == 1
    # And hardly a round has none: whoever waits is not made to wait longer than that.
    assert len(rounds) <= 2 * 200


async def test_bodies_go_on_in_turn() -> None:
    """None waits for another one's end."""
    turns, order = FairTurns(), []
    async with asyncio.TaskGroup() as bodies:
        for name in "abc":
            bodies.create_task(_send(turns, 20, lambda name=name: order.append(name)))
    # Who came first has had a round that nobody else asked for yet.
    assert order[1:58] == list("abc" * 19)


async def test_who_leaves_gives_the_turn_to_the_next() -> None:
    """Without it, everybody behind would wait for ever."""
    turns, order = FairTurns(), []
    first = asyncio.create_task(_send(turns, 1, lambda: None))
    gone = asyncio.create_task(_send(turns, 1, lambda: order.append("gone")))
    next_one = asyncio.create_task(_send(turns, 1, lambda: order.append("next")))
    await asyncio.sleep(0)
    gone.cancel()
    with suppress(asyncio.CancelledError):
        await gone
    await first
    async with asyncio.timeout(10):
        await next_one
    assert order == ["next"]


async def test_at_rest_it_costs_nothing() -> None:
    """No callback is left, which would keep the event loop from sleeping."""
    turns = FairTurns()
    await _send(turns, 3, lambda: None)
    for _ in range(3):
        await asyncio.sleep(0)
    assert not turns._is_running
    async with asyncio.timeout(10):
        await _send(turns, 3, lambda: None)
