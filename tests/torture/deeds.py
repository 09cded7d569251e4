"""Deeds: what two processes do to the same bytes, and the pairs of them that are tried."""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple

from juststorage.domain import UNCHANGED, ObjectId, StorageClass
from juststorage.errors import JustStorageError, NotFound, UploadExpired
from juststorage.usecases import ChangeObject, CopyObject, CopyTarget
from juststorage.usecases._collection import CollectionReport, Deadline
from tests.races.world import TENANT, Process
from tests.torture.journal import Broken

__all__ = ["DEEDS", "Deed", "Pair", "Scene", "pairs", "weight"]


@dataclass
class Scene:
    """What the two of a pair meet over: some bytes, the object that has them, its key."""

    data: bytes
    key: str
    object_id: ObjectId | None
    may_err: bool = False
    """Whether a collection may count errors: the database has ended transactions."""
    is_drifted: bool = False
    """Whether its blob counts no reference, and has one."""


async def _upload(process: Process, scene: Scene) -> None:
    await process.stream(scene.data)


async def _upload_small(process: Process, scene: Scene) -> None:
    await process.upload(scene.data)


async def _upload_late(process: Process, scene: Scene) -> None:
    await process.stream(scene.data, lease_s=0)


async def _upload_dying(process: Process, scene: Scene) -> None:
    await process.upload(scene.data, lease_s=0)


async def _upload_in_turns(process: Process, scene: Scene) -> None:
    await process.upload_in_turns(scene.data)


async def _replace(process: Process, scene: Scene) -> None:
    await process.stream(scene.data + process.points.name.encode(), scene.key, replace=True)


async def _delete(process: Process, scene: Scene) -> None:
    assert scene.object_id is not None
    await process.delete(scene.object_id)


async def _move(process: Process, scene: Scene) -> None:
    assert scene.object_id is not None
    change = ChangeObject(process.metadata, process.copier())
    await change.by_id(TENANT, scene.object_id, UNCHANGED, storage_class=StorageClass.COLD)


async def _copy(process: Process, scene: Scene) -> None:
    assert scene.object_id is not None
    case = CopyObject(process.metadata, process.copier())
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
        releases: Whether it takes a reference away. Where none is counted, as after drift, it is
            refused, until `fsck` has counted anew.
        dies_at: A step at which its process dies, before it goes on.
        loses_locks_at: A step at which the database ends its transaction, as it does with one that
            was frozen for long.
    """

    act: Callable[[Process, Scene], Awaitable[None]]
    may_raise: tuple[type[JustStorageError], ...] = ()
    needs_object: bool = False
    releases: bool = False
    dies_at: str | None = None
    loses_locks_at: str | None = None


DEEDS = {
    "upload": Deed(_upload),
    "upload the same": Deed(_upload_small),
    "upload, late": Deed(_upload_late, (UploadExpired,)),
    "upload, dying": Deed(_upload_dying, dies_at="before put"),
    "upload, in turns": Deed(_upload_in_turns),
    "replace": Deed(_replace, needs_object=True, releases=True),
    "delete": Deed(_delete, (NotFound,), needs_object=True, releases=True),
    "move": Deed(_move, (NotFound,), needs_object=True, releases=True),
    "copy": Deed(_copy, (NotFound,), needs_object=True),
    "collect": Deed(_part("remove")),
    "collect, frozen and dying": Deed(
        _part("remove"), dies_at="after remove", loses_locks_at="before remove"
    ),
    "sweep": Deed(_part("reap", "staging", "orphans", "rows")),
    "purge": Deed(_part("purge")),
}
_HOLDING = ("held", "drifted")
SCENES = ("held", "garbage", "trashed", "orphaned", "drifted")
"""What is the matter with the bytes: an object has them; its object was deleted; they were
collected and are in the trash; they are in place, and no row knows of them; an object has them, and
its blob counts no reference, as after a bug or careless SQL (R04)."""


class Pair(NamedTuple):
    """Two deeds, and the scene that they meet in."""

    one: str
    two: str
    scene: str

    def __str__(self) -> str:
        return f"{self.one} and {self.two}; {self.scene}"


def weight(pair: Pair) -> int:
    """Orders of the pair in each turn: most can go wrong where an upload meets removal or death."""
    both = {pair.one, pair.two}
    if both == {"upload, late", "sweep"}:
        return 12  # what a lease is for shows where it ends between two of many steps
    dying = any(DEEDS[name].dies_at for name in both)
    meets = any(name.startswith("upload") for name in both) and {"collect", "sweep"} & both
    return 4 if dying or meets else 1


def pairs() -> list[Pair]:
    """Every two deeds in every scene that has what they need; those with most orders last."""
    every = [
        Pair(one, two, scene)
        for one, two in itertools.combinations_with_replacement(DEEDS, 2)
        for scene in SCENES
        if scene in _HOLDING or not (DEEDS[one].needs_object or DEEDS[two].needs_object)
    ]
    return sorted(every, key=lambda pair: "upload, in turns" in pair)
