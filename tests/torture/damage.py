"""Stored bytes that are wrong: damaged files, failing reads, and a medium that lies.

Whatever is wrong, with bodies of every size: never a complete 200 with other bytes, `fsck --deep`
finds all of it, and an upload of the same bytes heals it. The server that is read from keeps no
small bodies in memory: it would answer from there.
"""

from __future__ import annotations

import hashlib
import os
import random
from itertools import product
from pathlib import Path

from tests.torture.acts import OBJECTS
from tests.torture.auditor import audit, settle
from tests.torture.experiment import Counts, Rig, Run
from tests.torture.journal import Broken, Entry
from tests.torture.points import NEVER, Act

__all__ = ["clear", "damage", "flip", "heal", "is_told", "misread", "stored", "upload"]

KIB = 1024
SIZES = (1, 64 * KIB, 64 * KIB + 1, 10 * KIB * KIB)
"""Around the size to which bodies are read and hashed before anything of them is sent."""

_BLOBS_MAX = 1000


def upload(made: Rig, data: bytes, *good: int) -> Entry | None:
    """Upload; None if it was refused with one of the good statuses."""
    answer = made.service.call("POST", OBJECTS, data)
    if answer is None or answer[0] not in (201, *good):
        raise Broken(f"an upload answers {answer}")
    return made.journal.uploaded(answer[1], data) if answer[0] == 201 else None


def stored(made: Rig, data: bytes) -> Entry:
    """Upload, with success."""
    entry = upload(made, data)
    assert entry is not None
    return entry


def is_told(made: Rig, entry: Entry, what: str) -> bool:
    """Read it: whether the damage was noticed. Raises if other bytes came as whole ones."""
    answer = made.service.call("GET", f"/v1/objects/{entry.id}?tenant_id=t")
    if answer is not None and answer[0] == 200 and answer[1] != entry.data:
        raise Broken(f"{what}: a complete 200 with other bytes")
    if answer is not None and answer[0] not in {200, 500, 503}:
        raise Broken(f"{what}: reading answers {answer}")
    return answer is None or answer[0] != 200


def heal(made: Rig, entry: Entry, counts: Counts) -> None:
    """Upload the same bytes once more, and read what was damaged."""
    stored(made, entry.data)
    made.journal.judge(entry, made.service.read(entry.id))
    counts["damage healed by an upload"] += 1


def clear(made: Rig) -> None:
    """Delete everything: what was checked once would only fill the disk."""
    for entry in made.journal.living:
        made.service.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
        entry.deleted = True
    settle(made.store, journal=made.journal, service=made.service)
    made.journal.entries.clear()


# -- files ----------------------------------------------------------------------------------------


def _file_of(made: Rig, entry: Entry) -> Path:
    name = hashlib.sha256(entry.data).hexdigest()
    return made.store.folder / "hot" / name[:2] / name[2:4] / name


def flip(path: Path, chance: random.Random) -> None:
    """One bit, in place, with the times as they were."""
    facts = path.stat()
    with path.open("r+b") as file:
        at = chance.randrange(facts.st_size)
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << chance.randrange(8)]))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def _cut(path: Path, chance: random.Random) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def _grow(path: Path, chance: random.Random) -> None:
    with path.open("ab") as file:
        file.write(b"x")


def _lose(path: Path, chance: random.Random) -> None:
    path.unlink()


_DAMAGES = {"flipped": flip, "cut": _cut, "longer": _grow, "gone": _lose}


def damage(made: Rig, run: Run, counts: Counts) -> None:
    """Damage files in every way: read them, let fsck find all, heal all. Until half the time."""
    blobs = 0
    while blobs < _BLOBS_MAX and (not blobs or run.left_s > run.seconds / 2):
        blobs += _damage_some(made, run, counts)
    counts["damaged files"] = blobs


def _damage_some(made: Rig, run: Run, counts: Counts) -> int:
    hurt: list[Entry] = []
    bytes_left = run.chance.sample(range(256), len(_DAMAGES))  # equal bytes would be one blob
    for (name, hurts), size in product(_DAMAGES.items(), SIZES):
        data = bytes([bytes_left.pop()]) if size == 1 else run.chance.randbytes(size)
        entry = stored(made, data)
        if run.chance.random() < 0.5:
            made.journal.judge(entry, made.service.read(entry.id))
        hurts(_file_of(made, entry), run.chance)
        hurt.append(entry)
        if not is_told(made, entry, f"{name}, {size} bytes"):
            raise Broken(f"{name}, {size} bytes: it was not noticed, and should have been")
        counts[f"damaged files, {name}, told"] += 1
    found = "\n".join(audit(made.store))
    for entry in hurt:
        if hashlib.sha256(entry.data).hexdigest() not in found:
            raise Broken(f"fsck --deep does not find {entry.id}: {found}")
        counts["damaged files found by fsck"] += 1
    if made.command("fsck", "--deep", "--repair") != 1:
        raise Broken("fsck --deep --repair finds nothing to repair")
    for entry in hurt:
        heal(made, entry, counts)
    clear(made)
    return len(hurt)


# -- reads ----------------------------------------------------------------------------------------

_MISREADS = {
    # At one read alone, and from there on.
    "fails": (Act.UNREADABLE, 0),
    "fails for good": (Act.UNREADABLE, NEVER),
    "lies": (Act.LYING, 1),
    "lies for good": (Act.LYING, NEVER),
}


def misread(made: Rig, run: Run, counts: Counts) -> None:
    """The n-th read of a download fails or has a flipped bit, under the identity that it had."""
    todo = list(product(SIZES, _MISREADS.items(), (False, True)))
    run.chance.shuffle(todo)
    for size, (name, (act, more)), again in todo:
        if run.left_s < run.seconds / 4:
            break
        entry = stored(made, run.chance.randbytes(size))
        if again:
            made.journal.judge(entry, made.service.read(entry.id))
        made.points.arm(act, NEVER)
        made.service.read(entry.id)
        reads = len(made.points.disarm())
        for number in sorted({1, reads, run.chance.randint(1, reads)}):
            made.points.arm(act, number, until=number + more)
            told = is_told(made, entry, f"read {number} of {size} bytes {name}")
            made.points.disarm()
            counts[f"a read that {name}, {'told' if told else 'endured'}"] += 1
            if told:
                heal(made, entry, counts)
    _scrub_unreadable(made, counts)
    clear(made)


def _scrub_unreadable(made: Rig, counts: Counts) -> None:
    """`fsck --deep` tells of bytes that it cannot read, and goes on to the others."""
    settle(made.store, journal=made.journal, service=made.service)
    made.points.arm(Act.UNREADABLE, NEVER)
    if made.command("fsck", "--deep"):
        raise Broken(f"fsck --deep finds something where nothing is wrong: {made.logged()}")
    reads = len(made.points.disarm())
    for number in (reads // 2, reads):
        made.points.arm(Act.UNREADABLE, number, until=NEVER)
        code = made.command("fsck", "--deep")
        made.points.disarm()
        if code != 1:
            raise Broken(f"fsck --deep ended with {code} at an unreadable blob: {made.logged()}")
        counts["scrubs of what cannot be read, told"] += 1
