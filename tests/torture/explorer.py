"""Two processes that take their steps when they are told to, and what is true afterwards.

Each stands still before every call to its stores. Where one waits for a lock of the other, the
order that was asked for is not to be had, and the other goes on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import asyncpg  # type: ignore[import-untyped]

from juststorage.domain import StorageClass
from juststorage.errors import BackendError
from juststorage.plugins._guards import unwrap
from juststorage.runtime import open_runtime
from tests.races.points import Killed, Points
from tests.races.power import LocalFSOn
from tests.races.world import Process, World, blob_key
from tests.torture.deeds import DEEDS, Deed, Pair, Scene
from tests.torture.journal import Broken
from tests.torture.service import Store, config_of
from tests.torture.touches import STEPS, Watch, WatchedOps, watched_statements
from tests.torture.walk import Walk

__all__ = ["Explorer", "explorer"]

_ALWAYS = {"I1", "I2", "I3", "I7"}
"""Invariants that hold before any collection; I2 unless a frozen collector has lost its locks."""

_OF_DRIFT = {"I1", "I3"}
"""What is wrong of themselves with bytes that count no reference, until they are counted anew."""

_BLOCKED_AFTER_S = 0.01
_PATIENCE_S = 30.0
_END_IDLE = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)
_WAITING = (
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE wait_event_type = 'Lock' AND datname = current_database()"
)

_FORGET = "DELETE FROM objects; DELETE FROM blobs"
_DRIFT = """
UPDATE blobs SET ref_count = 0, zero_since = clock_timestamp() - interval '1 hour'"""


class _Standing(Points):
    """The points of a process that takes its steps when it is told to."""

    def __init__(self, name: str, journal: list[str], explorer: Explorer) -> None:
        super().__init__(name, journal)
        self._explorer = explorer
        self.goes: anyio.Event | None = None
        self.at = ""
        """The step that it takes next, if it stands."""
        self.is_done = True
        self.is_free = False
        """Whether it is not stopped: before and after an order."""
        self.deed: Deed | None = None
        self.watch = Watch(lambda: "" if self.is_free or self.dead else self.at)

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
class Explorer:
    """Two processes in a world, and who goes next. Opened by `explorer`."""

    world: World
    watcher: asyncpg.Connection
    processes: list[Process] = field(default_factory=list)
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
        """A process with a runtime of its own, which is watched."""
        ops = WatchedOps()
        plugins = [LocalFSOn(lambda _: ops)]
        opened = open_runtime(self.world.config, plugins=plugins)
        runtime = await stack.enter_async_context(opened)
        points = _Standing(name, self.world.journal, self)
        points.is_free = True
        ops.watch = points.watch
        self.processes.append(Process(self.world, runtime, points))

    def watch_of(self, pool: object) -> Watch | None:
        """Of the process whose pool of connections this is."""
        for process in self.processes:
            if unwrap(process.runtime.metadata)._pool._pool is pool:
                return process.points.watch  # type: ignore[attr-defined, no-any-return]
        return None

    @property
    def _points(self) -> list[_Standing]:
        return [process.points for process in self.processes]  # type: ignore[misc]

    async def order(self, pair: Pair, walk: Walk) -> None:
        """One order of one pair, and what is true afterwards.

        Raises:
            Broken: Something is not.
        """
        deeds = [DEEDS[pair.one], DEEDS[pair.two]]
        scene = await self._set(pair.scene)
        scene.may_err = any(deed.loses_locks_at for deed in deeds)
        scene.is_drifted = pair.scene == "drifted"
        self.world.journal.clear()
        walk.begin()
        errors = await self._run(deeds, scene, walk)
        steps = [each for each in self.world.journal if each.partition(" ")[2] in STEPS]
        try:
            if errors:
                raise errors[0]
            for points in self._points:
                if points.watch.breaches:
                    raise Broken(f"a step touches what it should not: {points.watch.breaches}")
            # Before anybody reads: what a reader has to bring back should not have gone. What drift
            # is about is mended as an operator would, with what a dead collector left of it.
            found = await self.processes[0].audit(repair=scene.is_drifted)
            wrong = _ALWAYS - _OF_DRIFT if scene.is_drifted else _ALWAYS
            found = [each for each in found if each[:2] in wrong]
            if found and not scene.may_err:
                raise Broken(f"the audit found: {found}")
            if any(deed.dies_at for deed in deeds):
                # Before a reader brings back from the trash what a purge must spare.
                await self.processes[0].collect()
            await self.world.check()
        except Exception as error:
            raise Broken(f"{pair}: {error!r} after the order {steps}") from error
        await self._clear()

    async def _run(self, deeds: list[Deed], scene: Scene, walk: Walk) -> list[BaseException]:
        """Let both act in the order of the walk; what they ended with and should not have."""
        errors: list[BaseException] = []

        async def act(process: Process, deed: Deed) -> None:
            points = process.points
            assert isinstance(points, _Standing)
            try:
                points.deed = deed
                await deed.act(process, scene)
            except (Killed, *deed.may_raise):
                pass
            except BackendError as error:
                if not (scene.is_drifted and deed.releases):
                    errors.append(error)
            except Exception as error:  # noqa: BLE001  told by the caller, with the order
                errors.append(error)
            points.is_done = True
            self.tell()

        for points in self._points:
            points.is_free = points.is_done = points.dead = False
            points.at = ""
        async with anyio.create_task_group() as tasks:
            for process, deed in zip(self.processes, deeds, strict=True):
                tasks.start_soon(act, process, deed)
            try:
                with anyio.fail_after(_PATIENCE_S):
                    await self._step_by_step(walk)
            except Exception as error:  # noqa: BLE001  told by the caller, with the order
                errors.append(error)
                await self._let_all_die()
        for points in self._points:
            points.is_free, points.dead = True, False
        return errors

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
        # The same bytes and key each time, of which nothing is left: new ones would need new
        # directories, which the sweeps of all later orders would have to look into.
        data, key = b"the bytes that both are about", "key"
        one = self.processes[0]
        object_id = await one.upload(data, key)
        if scene == "held":
            return Scene(data, key, object_id)
        if scene == "drifted":
            await self._drift()
            return Scene(data, key, object_id)
        await one.delete(object_id)
        if scene == "garbage":
            return Scene(data, key, None)
        await self.watcher.execute(_FORGET)
        self.world.gone.clear()
        if scene == "trashed":
            store = one.runtime.blobs[StorageClass.HOT]
            locator = store.locator_of(blob_key(data).content_hash)
            assert locator is not None
            await store.remove([locator])
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
        await self.watcher.execute(_FORGET)
        for storage_class in ("hot", "cold"):
            for file in (self.world.root / storage_class).glob("[0-9a-f][0-9a-f]/*/*"):
                file.unlink()
        self.world.owed.clear()
        self.world.gone.clear()


@asynccontextmanager
async def explorer(store: Store) -> AsyncIterator[Explorer]:
    """Two processes on a store, until the block is left."""
    config = config_of(store, auth={"chain": []})
    config["auth"] = {"chain": []}
    for name, section in config["blobs"].items():
        config["blobs"][name] = {"backend": "watched", "watched": section["localfs"]}
    world = World(
        kind=store.kind,
        config=config,
        root=store.folder,
        shared=True,
        tools=None,
        plugins=[LocalFSOn(lambda _: WatchedOps())],
    )
    async with AsyncExitStack() as stack:
        watcher = await asyncpg.connect(store.url)
        stack.push_async_callback(watcher.close)
        made = Explorer(world, watcher)
        stack.enter_context(watched_statements(made.watch_of))
        for name in ("one", "two"):
            await made.add(stack, name)
        stack.push_async_callback(world.stop)  # what it opened last ends first
        yield made
