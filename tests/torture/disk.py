"""The disk: full, broken, unreadable, damaged.

- ENOSPC at the n-th call that changes a file, for every n of every act; and from there on.
- EIO at the n-th such call, for every n, and from there on; after a lost sync the volume is suspect
  until a restart, and the service is not ready. What depends on that sync, of a file, a directory
  or the volume, is never acknowledged, and it is not tried again on the same file: see `syncs.py`.
- Stored bytes that are damaged, unreadable or wrong: see `damage.py`.
- A small filesystem that really is full, where this may mount one.

Whatever happens: no 500 but for damage, nothing acknowledged is lost, nothing is left over, and the
service works again as soon as the disk does.
"""

from __future__ import annotations

import math
import random
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.torture.acts import ACTS, LARGE, SMALL, Deed, Fsck, Upload, UploadInTurns
from tests.torture.aims import Hits
from tests.torture.auditor import settle
from tests.torture.damage import damage, misread, upload
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.journal import Broken
from tests.torture.points import NEVER, Act, Point
from tests.torture.syncs import repeated

__all__ = ["run"]

SHARED = 10
"""How often a complete pass lets each of the two syncs fail that uploads share."""

_TOGETHER = 12
_SHARING_MIN = 2
"""One alone syncs its own file."""

_REFUSED_TOGETHER = "uploads that share a failed syncfs, refused"

_SYNCFS = "syncfs"
_SYNCS = {"fsync a file", "fsync a directory", _SYNCFS}
_DEEDS = tuple(deed for deed in ACTS if deed is not Fsck)


def run(run: Run) -> Counts:
    """All parts on the first store; the database has its own disk, and its own tests."""
    counts = run.counts
    plain: dict[str, dict[str, object]] = {
        "gc": {"trash_retention_s": 0},
        "downloads": {"cache_bytes": 0},
    }
    with rig(run, run.stores[0], **plain) as made:
        _shared_syncs(made, run, counts)  # first, and short: the others take what there is
        for hurt in run.each(
            (damage, misread), lambda part: f"{part.__name__} on {made.store.kind}"
        ):
            hurt(made, run, counts)
        _failures(made, run, counts)
    # However little time is left: it needs but seconds.
    name = f"a small filesystem, {run.stores[0]}"
    for fill in run.each((_really_full,), lambda _: name, until_left_s=-math.inf):
        fill(run, counts)
    return counts


# -- calls that fail ------------------------------------------------------------------------------


class _Failure(NamedTuple):
    """Which call of an act fails, how, and whether all later ones fail with it."""

    deed: type[Deed]
    at: Point
    act: Act
    lasts: bool
    kind: str

    def __str__(self) -> str:
        after = " and after" if self.lasts else ""
        return f"{self.deed.__name__} with {self.act.name} at {self.at}{after} on {self.kind}"


def _failures(made: Rig, run: Run, counts: Counts) -> None:
    hits = Hits(run, made.store.kind, "failures of calls")
    todo = {deed.__name__: partial(_calls, made, run, hits, deed) for deed in _DEEDS}

    def once(failure: _Failure) -> bool:
        try:
            outcome = _fail(made, failure, run.chance)
        except Broken as broken:
            raise Broken(f"{failure}: {broken}") from broken
        if outcome is not None:
            counts[f"{failure.act.name} {outcome}"] += 1
        return outcome is not None

    for failure in run.in_turns(todo, str, until_left_s=0 if run.is_complete else 5):
        hits.aim(failure, partial(once, failure))
    hits.check()


def _calls(made: Rig, run: Run, hits: Hits, deed: type[Deed]) -> list[_Failure]:
    """Those of an act that nobody disturbs, and the ways in which they fail."""
    doing = deed(made, run.chance)
    doing.prepare()
    made.points.arm(Act.FULL, NEVER)
    if not doing.act():
        raise Broken(f"{deed.__name__} fails undisturbed: {made.logged()}")
    ways = ((Act.FULL, False), (Act.FULL, True), (Act.BROKEN, False), (Act.BROKEN, True))
    found = [
        _Failure(deed, point, act, lasts, made.store.kind)
        for point in Point.all_of(made.points.disarm())
        for act, lasts in ways
    ]
    run.counts["failures of calls to try"] += len(found)
    hits.expect(deed.__name__, len(found))
    return found


def _fail(made: Rig, failure: _Failure, chance: random.Random) -> str | None:
    """Let it fail, and look at everything; what came of it, None where it was not reached."""
    doing = failure.deed(made, chance)
    doing.prepare()
    doing.refusals = (503, 507)
    doing.codes = (0, 1, 2)
    made.points.arm(failure.act, failure.at, lasts=failure.lasts)
    try:
        ended_well = doing.act()
    finally:
        passed = Point.all_of(made.points.disarm())
    if failure.act is Act.FULL and doing.refused == 503:
        raise Broken("no space is 507, and it answers 503")
    reached = failure.at in passed
    is_lost = reached and failure.act is Act.BROKEN and failure.at.text in _SYNCS
    if is_lost and ended_well:
        raise Broken("a sync failed, and what needed it was acknowledged")
    _afterwards(
        made,
        doing,
        may_need_restart=failure.act is Act.BROKEN,
        # A command that lost one has ended, and took what it knew of the volume along.
        is_suspect=is_lost and not doing.is_command,
    )
    if is_lost:
        return f"at {failure.at.text} refused"
    if not reached:
        return None
    return "endured" if ended_well else "refused"


def _shared_syncs(made: Rig, run: Run, counts: Counts) -> None:
    """The first sync that several small uploads share fails, or the second one."""
    steps = [(n, turn) for turn in range(SHARED if run.is_complete else 1) for n in (1, 2)]

    def name(step: tuple[int, int]) -> str:
        return f"Syncfs {step[0]} of uploads that share it, turn {step[1]}, on {made.store.kind}"

    for number, _ in run.each(
        steps, name, until_left_s=0 if run.is_complete else run.seconds * 7 / 8
    ):
        bodies = [run.chance.randbytes(SMALL) for _ in range(_TOGETHER)]
        # After the second one everything fails: the names of some of them are not durable, whatever
        # comes then. After the first one their files still get names, if nobody minds.
        made.points.arm(Act.BROKEN, Point(_SYNCFS, number), lasts=number == 2)
        with ThreadPoolExecutor(len(bodies)) as threads:
            answers = list(threads.map(lambda body: upload(made, body, 503), bodies))
        passed = Point.all_of(made.points.disarm())
        is_lost = (lost := Point(_SYNCFS, number)) in passed
        if is_lost:
            refused = answers.count(None)
            before = passed[: passed.index(lost)]
            apart = sum(point.text == "fsync a directory" for point in before)
            if refused < _SHARING_MIN or (number != 1 and len(answers) - refused > apart):
                raise Broken(f"{refused} of {len(answers)} uploads are refused after a lost sync")
            counts[_REFUSED_TOGETHER] += refused
        doing = Upload(made, run.chance)
        doing.prepare()
        _afterwards(made, doing, may_need_restart=True, is_suspect=is_lost)
    if run.is_complete and not run.only and not counts[_REFUSED_TOGETHER]:
        raise Broken("no sync that failed was one that uploads share")


def _afterwards(
    made: Rig, doing: Deed, *, may_need_restart: bool, is_suspect: bool = False
) -> None:
    """The disk is well again: look at everything, and do it again.

    Args:
        made: Where.
        doing: What failed.
        may_need_restart: Whether the service may not be ready before it is started again.
        is_suspect: Whether it must not be: it lost a sync.
    """
    if again := repeated(made.points.path):
        raise Broken(f"a sync that failed was tried again: {again}")
    if is_suspect and made.service.is_ready():
        raise Broken("the service lost a sync, and is ready before its restart")
    if may_need_restart and not made.service.is_ready():
        made.service.stop()
        made.service.start()
    if not made.service.is_ready():
        raise Broken("it is not ready once the disk is well again")
    doing.recover()
    settle(made.store, journal=made.journal, service=made.service)
    doing.refusals, doing.codes, doing.refused = (), (0,), None
    if isinstance(doing, UploadInTurns):
        doing.prepare()  # its lease was made to end
    if not doing.act():
        raise Broken(f"it does not work once the disk is well again: {made.logged()}")
    settle(made.store, journal=made.journal, service=made.service)
    for entry in made.journal.living[:-8]:
        made.service.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
        entry.deleted = True
    del made.journal.entries[:-16]


# -- a full filesystem ----------------------------------------------------------------------------


@contextmanager
def _small_filesystem(folder: Path) -> Iterator[bool]:
    """Mount one of 16 MiB there; whether that was possible."""
    folder.mkdir(parents=True)
    mount = shutil.which("mount")
    command = [str(mount), "-t", "tmpfs", "-o", "size=16m", "torture", str(folder)]
    done = mount is not None and subprocess.run(command, capture_output=True, check=False)
    is_mounted = bool(done) and getattr(done, "returncode", 1) == 0
    try:
        yield is_mounted
    finally:
        if is_mounted:
            subprocess.run(["umount", "-l", str(folder)], check=True)


def _really_full(run: Run, counts: Counts) -> None:
    folder = run.folder / "small"
    with _small_filesystem(folder / "volume") as is_mounted:
        if not is_mounted:
            if run.is_complete:
                raise Broken("a complete pass needs a user who may mount a small filesystem")
            run.say("no small filesystem: this user may not mount one")
            return
        small = Run(folder, run.seed, 60, run.stores[:1])
        backend = {
            "backend": "pointed_localfs",
            "pointed_localfs": {"root": str(folder / "volume"), "reserve_bytes": 0},
        }
        with rig(small, run.stores[0], blobs={"hot": backend}, gc={"trash_retention_s": 0}) as made:
            _fill(made, run, counts)


def _fill(made: Rig, run: Run, counts: Counts) -> None:
    for turn in range(3):
        refused = 0
        while refused < 20:
            size = run.chance.choice([SMALL, 40_000, LARGE, 3_000_000])
            if upload(made, run.chance.randbytes(size), 507) is None:
                refused += 1
                counts["uploads refused with 507 on a full filesystem"] += 1
            else:
                counts["uploads on a small filesystem"] += 1
        made.journal.check(made.service.read, made.service.read_key)
        living = made.journal.living
        for entry in living[:: 2 if turn < 2 else 1]:
            answer = made.service.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
            if answer is None or answer[0] != 204:
                raise Broken(f"a full filesystem does not let objects be deleted: {answer}")
            entry.deleted = True
        for _ in range(2):  # to the trash, and away
            if made.command("gc", "run", "--grace-s", "0"):
                raise Broken(f"a full filesystem does not let garbage go: {made.logged()}")
        if upload(made, run.chance.randbytes(SMALL)) is None:
            raise Broken("there is room again, and an upload is refused")
        made.journal.check(made.service.read, made.service.read_key)
    counts["times a full filesystem was emptied"] += 3
