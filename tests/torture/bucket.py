"""An object store behind the service: every request to it fails, and is where somebody dies.

For every act, and every request that it makes to a real S3 server: answered with 500, cut before
the server hears of it, carried out while its answer is lost, cut in its answer, held while the
service is killed, and carried out only much later; and bits flip in what the server keeps. Then the
line is well again: nothing that was acknowledged is lost, nothing is left over, the auditor finds
nothing, and the act succeeds.

The service does not try again by itself here (`retries = 0`), so that each fault counts.
"""

from __future__ import annotations

import hashlib
import math
import random
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Final, NamedTuple

from juststorage_objectstore.testing import FaultyProxy, faulty_proxy, running_s3
from tests.torture.acts import (
    SMALL,
    UPLOADING,
    Collect,
    Copy,
    Deed,
    Delete,
    Move,
    Replace,
    ReplaceLarge,
    Upload,
)
from tests.torture.aims import Hits
from tests.torture.auditor import audit, settle
from tests.torture.damage import clear, flip, heal, is_told, stored
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.journal import Broken

__all__ = ["run"]

_MIB: Final = 2**20
_HELD_S: Final = 20


class UploadInParts(Upload):
    """A body of several parts."""

    size = 12 * _MIB


class Download(Deed):
    """A body that takes more than one request: whole and right, or broken off."""

    def prepare(self) -> None:
        self.entry = self.stored(self.bytes(3 * _MIB))

    def act(self) -> bool:
        answer = self.rig.service.call("GET", f"/v1/objects/{self.entry.id}?tenant_id=t")
        answer = self.answered(answer, 200)
        if answer is not None and answer[1] != self.entry.data:
            raise Broken("a complete 200 with other bytes")
        return answer is not None


_DEEDS: Final[tuple[type[Deed], ...]] = (
    *UPLOADING,
    UploadInParts,
    Replace,
    ReplaceLarge,
    Delete,
    Move,
    Copy,
    Collect,
    Download,
)


def run(run: Run) -> Counts:
    """For as many acts, requests and faults as there is time for, in the order of the seed."""
    counts = run.counts
    stores = run.stores if run.is_complete or run.seconds > 60 else run.stores[:1]
    with running_s3() as server, faulty_proxy(server.endpoint) as line:
        for place, kind in enumerate(stores):
            until_left_s = run.until_left_s(place, len(stores))
            blobs = {
                name: {
                    "backend": "objectstore",
                    "objectstore": server.table(
                        server.make_bucket(), name, endpoint=line.endpoint, retries=0
                    ),
                }
                for name in ("hot", "cold")
            }
            hits = Hits(run, kind, "faults")
            with rig(run, kind, bucket=blobs, downloads={"cache_bytes": 0}) as made:
                tries = {
                    deed.__name__: partial(_tries_of, made, line, run, hits, deed)
                    for deed in _DEEDS
                }
                for this in run.in_turns(tries, str, until_left_s=until_left_s):
                    _try(made, line, run, hits, this)
                if server.root is not None:
                    flips = run.each(
                        (server.root,),
                        lambda _: f"flipped bits on {made.store.kind}",
                        until_left_s=-math.inf,  # it needs but seconds, and is no fault of the line
                    )
                    for root in flips:
                        _damage(made, root, run, counts)
            hits.check()
    return counts


def _damage(made: Rig, root: Path, run: Run, counts: Counts) -> None:
    """A bit flips in what the server keeps: it sends that without a word, and we do not."""
    for size in (1, 64 * 1024 + 1, 3 * _MIB):
        kept = set(root.rglob("*"))
        entry = stored(made, run.chance.randbytes(size))
        made.journal.judge(entry, made.service.read(entry.id))
        new = [each for each in set(root.rglob("*")) - kept if each.is_file()]
        [file] = [each for each in new if each.read_bytes() == entry.data]
        flip(file, run.chance)
        if not is_told(made, entry, f"a flipped bit in a bucket, {size} bytes"):
            raise Broken(f"a flipped bit in {size} bytes of a bucket was not noticed")
        if hashlib.sha256(entry.data).hexdigest() not in "".join(audit(made.store)):
            raise Broken("fsck --deep does not find a flipped bit in a bucket")
        heal(made, entry, counts)
        counts["flipped bits in a bucket, told"] += 1
    clear(made)


class _Try(NamedTuple):
    """One request of an act, and what is to happen to it."""

    deed: type[Deed]
    request: str
    earlier: int
    """Requests of the same method that the act makes before."""
    fault: str
    kind: str

    @property
    def method(self) -> str:
        return self.request.partition(" ")[0]

    def __str__(self) -> str:
        which = f"{self.method} after {self.earlier} others"
        return f"{self.deed.__name__}, {self.fault} at {which} on {self.kind}"


def _try(made: Rig, line: FaultyProxy, run: Run, hits: Hits, this: _Try) -> None:
    """Let one request fail, and count that."""

    def once() -> bool:
        faults = line.faults
        try:
            answered = _fail(made, line, this, run.chance)
        except Broken as broken:
            raise Broken(f"{this} ({this.request}): {broken}") from broken
        is_hit = line.faults > faults
        if is_hit:
            run.counts[f"{this.fault}: {'answered' if answered else 'refused or died'}"] += 1
        return is_hit

    hits.aim(this, once)


def _tries_of(made: Rig, line: FaultyProxy, run: Run, hits: Hits, deed: type[Deed]) -> list[_Try]:
    """Every fault at every request of an act."""
    found = _tries(deed, _requests_of(deed, made, line, run.chance), made.store.kind)
    run.counts[f"faults to try on {made.store.kind}"] += len(found)
    hits.expect(deed.__name__, len(found))
    return found


def _tries(deed: type[Deed], seen: Sequence[str], kind: str) -> list[_Try]:
    methods = [each.partition(" ")[0] for each in seen]
    return [
        _Try(deed, request, methods[:number].count(methods[number]), fault, kind)
        for number, request in enumerate(seen)
        for fault in _FAULTS
        if fault != "answer cut" or methods[number] == "GET"
    ]


def _requests_of(
    deed: type[Deed], made: Rig, line: FaultyProxy, chance: random.Random
) -> list[str]:
    """The requests of an act that nobody disturbs."""
    doing = deed(made, chance)
    doing.prepare()
    line.seen.clear()
    if not doing.act():
        raise Broken(f"{deed.__name__} fails undisturbed: {made.logged()}")
    seen = list(line.seen)
    settle(made.store)
    return seen


def _fail(made: Rig, line: FaultyProxy, this: _Try, chance: random.Random) -> bool:
    """Do it with a fault on the way, and look at everything; whether it was answered."""
    doing = this.deed(made, chance)
    doing.prepare()
    doing.refusals, doing.codes = (500, 503), (0, 1, 2, -9)
    _FAULTS[this.fault](line, this.method, this.earlier)
    answered = _act_and_die(made, line, doing) if this.fault == "killed" else doing.act()
    line.heal()
    doing.refusals, doing.codes, doing.refused = (), (0, -9), None
    settle(made.store, journal=made.journal, service=made.service)
    if this.fault == "late":
        # It hits what nobody names any more; the server may not even want to hear of it.
        with suppress(OSError, HTTPException):
            line.deliver()
        settle(made.store, journal=made.journal, service=made.service)
    if not doing.act():
        raise Broken(f"it does not work once the line is well again: {made.logged()}")
    settle(made.store, journal=made.journal, service=made.service)
    for entry in made.journal.living[:-4]:
        made.service.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
        entry.deleted = True
    del made.journal.entries[:-8]
    return answered


def _act_and_die(made: Rig, line: FaultyProxy, doing: Deed) -> bool:
    """Kill who makes the request, while it is on its way: the server, or the command."""
    line.held.clear()
    done = threading.Event()

    def kill() -> None:
        while not line.held.wait(0.05):
            if done.is_set():
                return
        victim = made.child if doing.is_command else made.service.child
        assert victim is not None
        victim.kill()
        line.heal()

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        answered = doing.act()
    finally:
        done.set()
        killer.join(_HELD_S)
    assert made.service.child is not None
    if not made.service.child.is_running:
        made.service.start()
        return False
    return answered


def _line_fault(kind: str, **how: int) -> Callable[[FaultyProxy, str, int], None]:
    def arm(line: FaultyProxy, method: str, earlier: int) -> None:
        line.on(method, kind, skip=earlier, **how)  # type: ignore[arg-type]

    return arm


_FAULTS: Final = {
    "status 500": _line_fault("status"),
    "cut": _line_fault("cut"),
    "answer lost": _line_fault("lose_answer"),
    "answer cut": _line_fault("cut_answer", body_bytes=SMALL // 2),
    "late": _line_fault("late"),
    "killed": _line_fault("hold"),
    "away from there on": _line_fault("status", times=10**6),
}
