"""Interleavings: every pair of acts, through all orders of their named steps.

Two processes with connections of their own, in the harness of the races: each stands still before
every call to its stores, and the explorer says who takes the next step. No order is run that can
only repeat another one (`walk.py`), as far as two steps touch nothing in common (`touches.py`),
which is looked after while they are run.

At the end of each order: no error but those that an act may end with, every invariant, everything
that was acknowledged, nothing left over.

A complete pass takes one pair after the other. Any other run goes through the pairs in turns, the
orders with few changes between the two first, so that one that ends early has seen what matters
most of each.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping

import anyio

from tests.torture.deeds import DEEDS, Pair, pairs, weight
from tests.torture.experiment import Counts, Run
from tests.torture.explorer import Explorer, explorer
from tests.torture.service import Store, opened_store
from tests.torture.walk import Walk

__all__ = ["run"]

_ORDER = ", order "


def _walk(run: Run, pair: Pair) -> Walk:
    """Its orders."""
    # What a process touches that dies on the way, or loses its locks, no call of it tells.
    chance = random.Random(f"{run.seed} {pair}")
    is_sound = not any(DEEDS[n].dies_at or DEEDS[n].loses_locks_at for n in (pair.one, pair.two))
    return Walk(chance, reduces=is_sound)


async def _explore(run: Run, store: Store) -> None:
    async with explorer(store) as exploring:
        if _ORDER in run.only:
            await _one_order(run, exploring)
        elif run.is_complete:
            await _every_pair(run, exploring)
        else:
            walks = {pair: _walk(run, pair) for pair in pairs()}
            await _in_turns(run, exploring, walks)
            _count(run, walks)


async def _order(run: Run, exploring: Explorer, pair: Pair, walk: Walk) -> None:
    """One order, under its name."""
    run.at = f"{pair}{_ORDER}{walk.next_order}"
    await exploring.order(pair, walk)
    walk.end()
    run.at = str(pair)


async def _one_order(run: Run, exploring: Explorer) -> None:
    """The one that is wanted."""
    name, _, order = run.only.partition(_ORDER)
    for pair in run.each([each for each in pairs() if str(each) == name], lambda _: run.only):
        walk = _walk(run, pair)
        walk.leave_only(order)
        await _order(run, exploring, pair, walk)
        run.counts["orders"] += 1


async def _every_pair(run: Run, exploring: Explorer) -> None:
    """Every order of every pair, pair by pair."""
    for pair in run.each(pairs(), str):
        walk, began = _walk(run, pair), time.monotonic()
        while not walk.is_over and run.left_s > 0:
            await _order(run, exploring, pair, walk)
            run.counts["orders"] += 1
        if walk.is_over:
            run.counts["pairs in a scene of which every order was run"] += 1
            run.say(f"{pair}: {walk.orders:,} orders, {time.monotonic() - began:.0f} s")


async def _in_turns(run: Run, exploring: Explorer, walks: Mapping[Pair, Walk]) -> None:
    """A few orders of each pair, again and again while there is time."""
    open_pairs = list(walks)
    run.chance.shuffle(open_pairs)
    is_begun = False  # one at least
    while open_pairs and (run.left_s > 0 or not is_begun):
        for pair in list(open_pairs):
            walk = walks[pair]
            for _ in range(weight(pair)):
                if not walk.is_over and (run.left_s > 0 or not is_begun):
                    await _order(run, exploring, pair, walk)
                    is_begun = True
            if walk.is_over:
                open_pairs.remove(pair)
    run.at = ""


def _count(run: Run, walks: Mapping[Pair, Walk]) -> None:
    run.counts["pairs in a scene"] = len(walks)
    run.counts["pairs in a scene of which every order was run"] = sum(
        walk.is_over for walk in walks.values()
    )
    run.counts["orders"] = sum(walk.orders for walk in walks.values())
    run.counts["changes below which every order of every pair was run"] = min(
        (walk.changes for walk in walks.values() if not walk.is_over), default=0
    )


def run(run: Run) -> Counts:
    """Explore on PostgreSQL: SQLite has one writer, and nothing to interleave within a step."""
    with opened_store("postgres", run.folder / "postgres") as store:
        anyio.run(_explore, run, store)
    return run.counts
