"""Interleavings: every pair of acts, through all orders of their named steps.

Two processes with connections of their own, in the harness of the races: each stands still before
every call to its stores, and the explorer says who takes the next step. It goes through the orders
pair by pair in turns, those with few changes between the two first, so that a run that ends early
has seen what matters most of each. Where one waits for a lock of the other, the order is not to be
had, and the other goes on.

At the end of each order: no error but those that an act may end with, every invariant, everything
that was acknowledged, nothing left over (`World.check`).
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

import anyio
import asyncpg  # type: ignore[import-untyped]

from juststorage.domain import UNCHANGED, ObjectId, StorageClass
from juststorage.errors import JustStorageError, NotFound, UploadExpired
from juststorage.runtime import open_runtime
from juststorage.usecases import BlobCopier, ChangeObject, CopyObject, CopyTarget, UploadLimits
from juststorage.usecases._collection import CollectionReport, Deadline
from tests.races.points import Killed, Points
from tests.races.world import LEASE_S, TENANT, Process, World
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.service import Store, config_of, opened_store

__all__ = ["run"]

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


# -- acts -----------------------------------------------------------------------------------------


@dataclass
class Scene:
    """What the two of a pair meet over: some bytes, the object that has them, its key."""

    data: bytes
    key: str
    object_id: ObjectId | None
    may_err: bool = False
    """Whether a collection may count errors: the database has ended transactions."""


def _copier(process: Process) -> BlobCopier:
    return BlobCopier(
        process.metadata,
        process.blobs,
        process.runtime.hashers,
        clock=process.runtime.clock,
        limits=UploadLimits(bytes_max=10**9, lease_s=LEASE_S, idle_s=60, rate_min_bytes_s=0),
    )


async def _upload(process: Process, scene: Scene) -> None:
    await process.stream(scene.data)


async def _upload_small(process: Process, scene: Scene) -> None:
    await process.upload(scene.data)


async def _upload_late(process: Process, scene: Scene) -> None:
    await process.stream(scene.data, lease_s=0)


async def _upload_dying(process: Process, scene: Scene) -> None:
    await process.upload(scene.data, lease_s=0)


async def _replace(process: Process, scene: Scene) -> None:
    await process.stream(scene.data + process.points.name.encode(), scene.key, replace=True)


async def _delete(process: Process, scene: Scene) -> None:
    assert scene.object_id is not None
    await process.delete(scene.object_id)


async def _move(process: Process, scene: Scene) -> None:
    assert scene.object_id is not None
    change = ChangeObject(process.metadata, _copier(process))
    await change.by_id(TENANT, scene.object_id, UNCHANGED, storage_class=StorageClass.COLD)


async def _copy(process: Process, scene: Scene) -> None:
    assert scene.object_id is not None
    case = CopyObject(process.metadata, _copier(process))
    target = CopyTarget(storage_class=StorageClass.COLD)
    process.world.acknowledge(await case.by_id(TENANT, scene.object_id, target), scene.data)


def _part(*names: str) -> Callable[[Process, Scene], Awaitable[None]]:
    """Some steps of a collection."""

    async def act(process: Process, scene: Scene) -> None:
        collector = process.collector()
        clock = process.runtime.clock
        report = CollectionReport(dry_run=False, started_at=clock.now())
        steps = {
            "remove": lambda r, d: collector._garbage.run(r, d, grace_s=0),
            "purge": collector._trash.run,
            "reap": collector._sweep.reap,
            "staging": collector._sweep.staging,
            "orphans": collector._sweep.orphans,
            "rows": collector._sweep.rows,
        }
        for name in names:
            await steps[name](report, Deadline(clock, None))
        if report.errors and not scene.may_err:
            raise Broken(f"a collection had errors: {report}")

    return act


@dataclass(frozen=True)
class Deed:
    """One act.

    Args:
        act: What it does.
        may_raise: What it may end with.
        needs_object: Whether the scene must have one.
        dies_at: A step at which its process dies, before it goes on.
        loses_locks_at: A step at which the database ends its transaction, as it does with one that
            was frozen for long.
    """

    act: Callable[[Process, Scene], Awaitable[None]]
    may_raise: tuple[type[JustStorageError], ...] = ()
    needs_object: bool = False
    dies_at: str | None = None
    loses_locks_at: str | None = None


DEEDS = {
    "upload": Deed(_upload),
    "upload the same": Deed(_upload_small),
    "upload, late": Deed(_upload_late, (UploadExpired,)),
    "upload, dying": Deed(_upload_dying, dies_at="before put"),
    "replace": Deed(_replace, needs_object=True),
    "delete": Deed(_delete, (NotFound,), needs_object=True),
    "move": Deed(_move, (NotFound,), needs_object=True),
    "copy": Deed(_copy, (NotFound,), needs_object=True),
    "collect": Deed(_part("remove")),
    "collect, frozen and dying": Deed(
        _part("remove"), dies_at="after remove", loses_locks_at="before remove"
    ),
    "sweep": Deed(_part("reap", "staging", "orphans", "rows")),
    "purge": Deed(_part("purge")),
}
SCENES = ("held", "garbage", "trashed", "orphaned", "drifted")
"""What is the matter with the bytes: an object has them; its object was deleted; they were
collected and are in the trash; they are in place, and no row knows of them; an object has them, and
its blob counts no reference, as after a bug or careless SQL (R04)."""

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


def _weight(pair: tuple[str, str, str]) -> int:
    """Orders of the pair in each turn: most can go wrong where an upload meets removal or death."""
    one, two, _ = pair
    dying = any(DEEDS[name].dies_at for name in (one, two))
    meets = any(n.startswith("upload") for n in (one, two)) and "collect" in {one, two}
    return 4 if dying or meets else 1


def _pairs() -> list[tuple[str, str, str]]:
    return [
        (one, two, scene)
        for one, two in itertools.combinations_with_replacement(DEEDS, 2)
        for scene in SCENES
        if scene == "held" or not (DEEDS[one].needs_object or DEEDS[two].needs_object)
        if scene != "drifted" or "collect" in {one, two}
    ]


# -- the explorer ---------------------------------------------------------------------------------


class _Walk:
    """The orders of one pair: those with the fewest changes between the two first.

    An order is the set of decisions at which not the one goes on that went last. Most mistakes show
    with one change or two; every order is run once, and it is over when there is none left.
    """

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._level: list[tuple[int, ...]] = [()]
        self._next: list[tuple[int, ...]] = []
        self._changes: tuple[int, ...] = ()
        self._at = 0
        self.last = 0
        self.orders = 0

    @property
    def is_over(self) -> bool:
        """Whether every order was run."""
        return not self._level

    def begin(self) -> None:
        """Begin the next order."""
        self._changes = self._level.pop(self._chance.randrange(len(self._level)))
        self._at = self.last = 0

    def choose(self) -> int:
        """Who takes the next step, where both could."""
        if self._at in self._changes:
            self.last = 1 - self.last
        self._at += 1
        return self.last

    def end(self) -> None:
        """The order is through; each later decision of it could be another."""
        self.orders += 1
        first = self._changes[-1] + 1 if self._changes else 0
        self._next += [(*self._changes, at) for at in range(first, self._at)]
        if not self._level:
            self._level, self._next = self._next, []


class _Standing(Points):
    """The points of a process that takes its steps when it is told to."""

    def __init__(self, name: str, journal: list[str], explorer: _Explorer) -> None:
        super().__init__(name, journal)
        self._explorer = explorer
        self.goes: anyio.Event | None = None
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
            await self._explorer.watcher.execute(_END_IDLE)
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

    async def order(self, pair: tuple[str, str, str], walk: _Walk) -> None:
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
                # Who stands in a shielded section would stand there for ever.
                for points in self._points:
                    points.dead = True
                    if points.stands:
                        points.go()
        for points in self._points:
            points.is_free, points.dead = True, False
        steps = [each for each in self.world.journal if each.partition(" ")[2] in STEPS]
        try:
            if errors:
                raise errors[0]
            if pair[2] == "drifted":
                await self.watcher.execute(_MEND)
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

    async def _step_by_step(self, walk: _Walk) -> None:
        while not all(points.is_done for points in self._points):
            await self._settled()
            standing = [points for points in self._points if points.stands]
            if len(standing) == 2:
                standing[walk.choose()].go()
            elif standing:
                walk.last = self._points.index(standing[0])
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
            waiting = await self.watcher.fetchval(_WAITING)
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


async def _explore(run: Run, store: Store, counts: Counts) -> None:
    config = config_of(store, auth={"chain": []})
    config["auth"] = {"chain": []}
    world = World(
        kind=store.kind, config=config, root=store.folder, shared=True, tools=None, plugins=[]
    )
    walks = {pair: _Walk(random.Random(run.chance.random())) for pair in _pairs()}
    async with AsyncExitStack() as stack:
        watcher = await asyncpg.connect(store.url)
        stack.push_async_callback(watcher.close)
        explorer = _Explorer(world, store, watcher)
        for name in ("one", "two"):
            await explorer.add(stack, name)
        stack.push_async_callback(world.stop)  # what it opened last ends first
        for points in explorer._points:
            points.is_free = True
        open_pairs = list(walks)
        run.chance.shuffle(open_pairs)
        while open_pairs and run.left_s > 0:
            for pair in list(open_pairs):
                walk = walks[pair]
                for _ in range(_weight(pair)):
                    if run.left_s > 0 and not walk.is_over:
                        await explorer.order(pair, walk)
                        walk.end()
                if walk.is_over:
                    open_pairs.remove(pair)
    counts["pairs in a scene"] = len(walks)
    counts["pairs of which every order was run"] = sum(walk.is_over for walk in walks.values())
    counts["orders"] = sum(walk.orders for walk in walks.values())


def run(run: Run) -> Counts:
    """Explore on PostgreSQL: SQLite has one writer, and nothing to interleave within a step."""
    counts: Counts = Counter()
    folder = run.folder / "postgres"
    with opened_store("postgres", folder) as store:
        anyio.run(_explore, run, store, counts)
    return counts
