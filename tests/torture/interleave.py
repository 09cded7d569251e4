"""Interleavings: every pair of acts, through all orders of their named steps.

Two processes with connections of their own, in the harness of the races: each stands still before
every call to its stores, and the explorer says who takes the next step. It goes through the orders
pair by pair in turns, those with few changes between the two first, so that a run that ends early
has seen what matters most of each; none is run that can only repeat another one (`walk.py`). Where
one waits for a lock of the other, the order is not to be had, and the other goes on.

At the end of each order: no error but those that an act may end with, every invariant, everything
that was acknowledged, nothing left over (`World.check`).
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]

from juststorage.runtime import open_runtime
from tests.races.points import Killed, Points
from tests.races.world import Process, World
from tests.torture.deeds import DEEDS, Deed, Scene, pairs, weight
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.service import Store, config_of, opened_store
from tests.torture.walk import Walk

__all__ = ["run"]

Pair = tuple[str, str, str]
"""Two deeds and the scene that they meet in."""

STEPS = {
    *("before objects.begin", "before objects.begin_reserved", "before objects.reserve"),
    *("before put", "before place", "before objects.commit", "before objects.commit_move"),
    *("before objects.find", "before objects.delete", "before objects.reap", "before objects.bury"),
    *("before blobs.claim", "before blobs.remove", "before remove", "after remove"),
    *("before blobs.confirm", "before restore", "before open"),
    *("before trash", "before blobs.find", "before stat", "before purge"),
    *("before discard", "before scan", "before blobs.adopt"),
}
"""Where a process stands still. What lies between two of them touches nothing that is shared."""

_ALWAYS = {"I1", "I2", "I3", "I7"}
"""Invariants that hold before any collection; I2 unless a frozen collector has lost its locks."""

_BLOCKED_AFTER_S = 0.02
_PATIENCE_S = 30.0
_END_IDLE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)

_DRIFT = """
UPDATE blobs SET ref_count = 0, zero_since = clock_timestamp() - interval '1 hour'"""
_MEND = """
UPDATE blobs b SET ref_count = n, zero_since = CASE WHEN n = 0 THEN clock_timestamp() END
FROM (
    SELECT b.content_hash, b.storage_class, count(o.id) AS n FROM blobs b LEFT JOIN objects o
        ON o.blob_hash = b.content_hash AND o.storage_class = b.storage_class
    GROUP BY b.content_hash, b.storage_class
) AS c
WHERE b.content_hash = c.content_hash AND b.storage_class = c.storage_class AND b.ref_count <> n"""


class _Standing(Points):
    """The points of a process that takes its steps when it is told to."""

    def __init__(self, name: str, journal: list[str], explorer: _Explorer) -> None:
        super().__init__(name, journal)
        self._explorer = explorer
        self.goes: anyio.Event | None = None
        self.at = ""
        """The step that it takes next, if it stands."""
        self.is_done = True
        self.is_free = False
        """Whether it is not stopped: before and after an order."""
        self.deed: Deed | None = None

    @property
    def stands(self) -> bool:
        """Whether it waits to be told."""
        return self.goes is not None

    def go(self) -> None:
        """Take the next step."""
        assert self.goes is not None
        self.goes.set()
        self.goes = None

    async def reach(self, where: str) -> None:
        await super().reach(where)
        if self.is_free or where not in STEPS:
            return
        assert self.deed is not None
        if where == self.deed.loses_locks_at:
            await self._explorer.ask(_END_IDLE)
        if not self.dead:  # since it came here
            self.at = where
            self.goes = goes = anyio.Event()
            self._explorer.tell()
            await goes.wait()
        if self.dead or where == self.deed.dies_at:
            self.dead = True
            raise Killed


@dataclass
class _Explorer:
    """Two processes in a world, and who goes next."""

    world: World
    store: Store
    watcher: asyncpg.Connection
    processes: list[Process] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)
    _news: anyio.Event = field(default_factory=anyio.Event)
    _asking: anyio.Lock = field(default_factory=anyio.Lock)

    async def ask(self, statement: str) -> Any:
        """Run a statement beside the processes; the first value of its answer.

        A process that is to lose its locks asks while the explorer looks who waits for one, and a
        connection serves one at a time.
        """
        async with self._asking:
            return await self.watcher.fetchval(statement)

    def tell(self) -> None:
        """Something happened."""
        self._news.set()
        self._news = anyio.Event()

    async def add(self, stack: AsyncExitStack, name: str) -> None:
        """A process with a runtime of its own."""
        runtime = await stack.enter_async_context(open_runtime(self.world.config))
        self.processes.append(
            Process(self.world, runtime, _Standing(name, self.world.journal, self))
        )

    @property
    def _points(self) -> list[_Standing]:
        return [process.points for process in self.processes]  # type: ignore[misc]

    async def order(self, pair: tuple[str, str, str], walk: Walk) -> None:
        """One order of one pair, and what is true afterwards."""
        scene = await self._set(pair[2])
        scene.may_err = any(DEEDS[name].loses_locks_at for name in pair[:2])
        self.world.journal.clear()
        walk.begin()
        errors: list[BaseException] = []

        async def act(process: Process, deed: Deed) -> None:
            points = process.points
            assert isinstance(points, _Standing)
            try:
                points.deed = deed
                await deed.act(process, scene)
            except (Killed, *deed.may_raise):
                pass
            except Exception as error:  # noqa: BLE001  told below, with the order
                errors.append(error)
            points.is_done = True
            self.tell()

        for points in self._points:
            points.is_free = points.is_done = points.dead = False
        async with anyio.create_task_group() as tasks:
            for process, name in zip(self.processes, pair[:2], strict=True):
                tasks.start_soon(act, process, DEEDS[name])
            try:
                with anyio.fail_after(_PATIENCE_S):
                    await self._step_by_step(walk)
            except Exception as error:  # noqa: BLE001  told below, with the order
                errors.append(error)
                await self._let_all_die()
        for points in self._points:
            points.is_free, points.dead = True, False
        steps = [each for each in self.world.journal if each.partition(" ")[2] in STEPS]
        try:
            if errors:
                raise errors[0]
            if pair[2] == "drifted":
                await self.ask(_MEND)
            if not scene.may_err:
                # Before anybody reads: what a reader has to bring back should not have gone.
                found = [each for each in await self.processes[0].audit() if each[:2] in _ALWAYS]
                if found:
                    raise Broken(f"the audit found: {found}")
            if any(DEEDS[name].dies_at for name in pair[:2]):
                # Before a reader brings back from the trash what a purge must spare.
                await self.processes[0].collect()
            await self.world.check()
        except Exception as error:
            raise Broken(f"{pair}: {error!r} after the order {steps}") from error
        await self._clear()

    async def _let_all_die(self) -> None:
        """Whoever is at it dies at its next step: in a shielded section it would stand for ever."""
        for points in self._points:
            points.dead = True
        while not all(points.is_done for points in self._points):
            for points in self._points:
                if points.stands:
                    points.go()
            news = self._news
            with anyio.move_on_after(_BLOCKED_AFTER_S):
                await news.wait()

    async def _step_by_step(self, walk: Walk) -> None:
        while not all(points.is_done for points in self._points):
            await self._settled()
            standing = [points for points in self._points if points.stands]
            if len(standing) == 2:
                standing[walk.choose([points.at for points in standing])].go()
            elif standing:
                walk.alone(self._points.index(standing[0]))
                standing[0].go()

    async def _settled(self) -> None:
        """Wait until each stands, is done, or waits for a lock of the other."""
        while True:
            news = self._news
            running = [each for each in self._points if not each.stands and not each.is_done]
            if not running:
                return
            with anyio.move_on_after(_BLOCKED_AFTER_S):
                await news.wait()
                continue
            waiting = await self.ask(_WAITING)
            if waiting >= len(running) and len(running) < 2:
                return

    # -- scenes -------------------------------------------------------------------------------

    async def _set(self, scene: str) -> Scene:
        number = next(self.numbers)
        data, key = b"bytes of order %d" % number, f"key-{number}"
        one = self.processes[0]
        object_id = await one.upload(data, key)
        if scene == "held":
            return Scene(data, key, object_id)
        if scene == "drifted":
            await self._drift()
            return Scene(data, key, object_id)
        await one.delete(object_id)
        if scene == "trashed":
            await one.collect(trash_retention_s=3600)
        elif scene == "orphaned":
            await self.watcher.execute("DELETE FROM objects; DELETE FROM blobs")
            self.world.gone.clear()
        return Scene(data, key, None)

    async def _drift(self) -> None:
        await self.watcher.execute(_DRIFT)
        try:
            await self.watcher.execute("DELETE FROM blobs")
        except asyncpg.ForeignKeyViolationError:
            return
        raise Broken("the database lets go of a blob that an object has")

    async def _clear(self) -> None:
        """Leave nothing of it to the next one."""
        one = self.processes[0]
        for object_id in list(self.world.owed):
            await one.delete(object_id)
        await one.collect()
        self.world.owed.clear()
        self.world.gone.clear()


async def _explore(run: Run, store: Store) -> None:
    config = config_of(store, auth={"chain": []})
    config["auth"] = {"chain": []}
    world = World(
        kind=store.kind, config=config, root=store.folder, shared=True, tools=None, plugins=[]
    )
    walks = {
        pair: Walk(random.Random(run.chance.random()), reduces=_is_what_it_calls(pair))
        for pair in pairs()
    }
    async with AsyncExitStack() as stack:
        watcher = await asyncpg.connect(store.url)
        stack.push_async_callback(watcher.close)
        explorer = _Explorer(world, store, watcher)
        for name in ("one", "two"):
            await explorer.add(stack, name)
        stack.push_async_callback(world.stop)  # what it opened last ends first
        for points in explorer._points:
            points.is_free = True
        await (_all if run.is_complete else _in_turns)(run, explorer, walks)
    _count(run, walks)


def _is_what_it_calls(pair: Pair) -> bool:
    """Whether what each of its steps touches can be told from the call."""
    return not any(DEEDS[name].dies_at or DEEDS[name].loses_locks_at for name in pair[:2])


def _count(run: Run, walks: Mapping[Pair, Walk]) -> None:
    run.counts["pairs in a scene"] = len(walks)
    run.counts["pairs of which every order was run"] = sum(w.is_over for w in walks.values())
    run.counts["orders"] = sum(walk.orders for walk in walks.values())
    run.counts["orders that are known and were not run"] = sum(w.waiting for w in walks.values())
    run.counts["changes below which every order of every pair was run"] = min(
        (walk.changes for walk in walks.values() if not walk.is_over), default=0
    )


async def _in_turns(run: Run, explorer: _Explorer, walks: Mapping[Pair, Walk]) -> None:
    """A few orders of each pair, again and again while there is time."""
    open_pairs = list(walks)
    run.chance.shuffle(open_pairs)
    while open_pairs and run.left_s > 0:
        for pair in list(open_pairs):
            walk = walks[pair]
            for _ in range(weight(pair)):
                if run.left_s > 0 and not walk.is_over:
                    await explorer.order(pair, walk)
                    walk.end()
            if walk.is_over:
                open_pairs.remove(pair)


async def _all(run: Run, explorer: _Explorer, walks: Mapping[Pair, Walk]) -> None:
    """Every order, those with the fewest changes of every pair first."""
    kept = None if run.done is None else run.done.with_name(run.done.name + ".orders")
    if kept is not None and kept.exists():
        for name, state in json.loads(kept.read_text()).items():
            next(walk for pair, walk in walks.items() if str(pair) == name).go_on(state)
    for changes in itertools.count():
        open_pairs = [pair for pair, walk in walks.items() if not walk.is_over]
        if not open_pairs or run.left_s <= 0:
            break
        for pair in open_pairs:
            walk = walks[pair]
            while run.left_s > 0 and not walk.is_over and walk.changes == changes:
                await explorer.order(pair, walk)
                walk.end()
                _count(run, walks)
                run.tell(f"{pair} with {changes} changes")
        if kept is not None:
            kept.write_text(json.dumps({str(pair): w.state() for pair, w in walks.items()}))


def run(run: Run) -> Counts:
    """Explore on PostgreSQL: SQLite has one writer, and nothing to interleave within a step."""
    folder = run.folder / "postgres"
    with opened_store("postgres", folder) as store:
        anyio.run(_explore, run, store)
    return run.counts
