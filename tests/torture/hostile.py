"""Hostile clients: idle, dripping, slow, vanishing, flooding; and good ones beside them.

Whoever is cut off comes again. The good clients go on at their pace while all of them are there,
memory stays within bounds, and once the others are gone nothing of them is left: no descriptor, no
connection to the database, no lease, no staged byte. The service sees to that by itself: leases run
out in their own time, and its collector sweeps. What good clients stored meanwhile is there.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import anyio
import asyncpg  # type: ignore[import-untyped]

from tests.torture.acts import OBJECTS, SMALL
from tests.torture.auditor import settle
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.journal import Broken
from tests.torture.mob import CUT_OFF, PHASES, SLOWLY_SERVED, Good, Mob, good, mob, processes
from tests.torture.service import POOL_SIZE, Store

__all__ = ["run"]

STAYING = {"idle": 1000, "drip_head": 500, "drip_body": 200, "read_slowly": 200}
VANISHING = 1000
VANISHED_MIN = 100
"""In each phase."""

SLOWER_AT_MOST = 3
"""A p99, in a complete pass, which is to be alone on its machine."""

GROWN_MIB_MAX = 200
LARGE = 4_000_000
STREAMED = 150_000
LEASE_S = 10
GONE_S = 20
"""After the last lease."""

_THERE_S = 60
_TOGETHER = 24
_SESSIONS = """
SELECT coalesce(state, 'none'), count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() GROUP BY 1"""
_SHORT: dict[str, dict[str, object]] = {
    "limits": {"header_timeout_s": 4},
    "uploads": {"lease_s": LEASE_S, "idle_timeout_s": 3, "rate_grace_s": 3},
}
_DEFAULTS: dict[str, dict[str, object]] = {"uploads": {"lease_s": LEASE_S}}
"""In a complete pass whoever sends next to nothing may do so as long as the service lets anybody:
the crowd is there while good clients are measured, and does not spend its time on coming again."""

CUT_OFF_S = 75
"""After so long each of them has been cut off once, by the defaults."""


def run(run: Run) -> Counts:
    """All kinds at once, as many as there is time for; a complete pass does it on each store."""
    scale = 1.0 if run.is_complete else min(1.0, run.seconds / 60)
    stores = run.stores if run.is_complete else run.stores[:1]
    for store in run.each(stores, str):
        with rig(run, store, **(_DEFAULTS if scale == 1 else _SHORT)) as made:
            before = _warmed_up(made)
            _attack(made, run, store, scale)
            left = _nothing_left(made, before, run.counts)
            settle(made.store, journal=made.journal, service=made.service)
            run.counts[f"descriptors before on {store}"] = before.descriptors
            run.counts[f"descriptors afterwards on {store}"] = left.descriptors
            made.service.stop()
    return run.counts


@dataclass
class _Open:
    """What the server has open."""

    descriptors: int
    """But for those of connections to PostgreSQL."""
    connections: int
    """To PostgreSQL."""


def _attack(made: Rig, run: Run, store: str, scale: float) -> None:
    counts, port = run.counts, made.service.port
    stored = made.service.call("POST", OBJECTS, os.urandom(LARGE))
    assert stored is not None and stored[0] == 201
    large = f"/v1/objects/{json.loads(stored[1])['id']}?tenant_id=t"
    staying = {kind: int(number * scale) for kind, number in STAYING.items()}
    with processes() as those:
        alone = those.good.submit(good, port, 10 * scale + 1, 200).result()
        rss = _memory_mib(made, "VmRSS")
        _forget_peak(made)
        hostile = Mob(port, large, run.chance.getrandbits(32), staying, int(VANISHING * scale))
        crowding, came = those.others.submit(mob, hostile), time.monotonic()
        if not those.all_there.wait(_THERE_S) and not crowding.done():
            raise Broken(f"the crowd has not come within {_THERE_S} s")
        crowded = those.good.submit(good, port, max(8.0, 20 * scale), 200).result()
        while scale == 1 and time.monotonic() < came + CUT_OFF_S and not crowding.done():
            time.sleep(0.1)
        those.over.set()
        seen = crowding.result()
        grown = _memory_mib(made, "VmHWM") - rss
    counts.update(seen)
    for document, body in (*alone.stored, *crowded.stored):
        made.journal.uploaded(document, body)
    if scale == 1:  # a smaller crowd goes before the time of all of it is over
        _must_have_been(seen, staying)
    p99_alone, p99 = _p99(alone), _p99(crowded)
    counts[f"p99 of a good client alone on {store}, ms"] = round(p99_alone)
    counts[f"p99 of a good client in the crowd on {store}, ms"] = round(p99)
    counts[f"memory grown by the crowd on {store} at its peak, MiB"] = max(0, grown)
    # A fifth of the crowd, beside other tests on the same cores, says nothing of a time.
    if scale == 1 and p99 > SLOWER_AT_MOST * p99_alone:
        raise Broken(f"p99 of a good client: {p99_alone:.0f} ms, {p99:.0f} ms")
    if grown > GROWN_MIB_MAX:
        raise Broken(f"memory has grown by {grown} MiB at its peak")


def _must_have_been(seen: Counts, staying: Mapping[str, int]) -> None:
    """All of them did what they were for.

    Raises:
        Broken: Somebody was not cut off, or not served, or vanished in no such phase.
    """
    for kind, told in CUT_OFF.items():
        if seen[told] != staying[kind]:
            raise Broken(f"of {staying[kind]} clients that {kind}, cut off were {seen[told]}")
    if seen[SLOWLY_SERVED] < staying["read_slowly"]:
        raise Broken(f"of {staying['read_slowly']} slow readers {seen[SLOWLY_SERVED]} were served")
    for phase in PHASES:
        if (vanished := seen[f"clients that vanished {phase}"]) < VANISHED_MIN:
            raise Broken(f"{vanished} clients vanished {phase}")


def _p99(saw: Good) -> float:
    return quantiles(saw.took_ms, n=100)[98]


# -- afterwards -----------------------------------------------------------------------------------


def _pid(made: Rig) -> int:
    assert made.service.child is not None
    return made.service.child.pid


def _memory_mib(made: Rig, what: str) -> int:
    """Resident memory of the server now (VmRSS), or at its peak (VmHWM)."""
    text = Path(f"/proc/{_pid(made)}/status").read_text()
    return int(text.split(f"{what}:")[1].split()[0]) // 1024


def _forget_peak(made: Rig) -> None:
    """Let its peak begin anew, from what is resident now."""
    Path(f"/proc/{_pid(made)}/clear_refs").write_text("5")


def _links(made: Rig) -> list[Path]:
    return list(Path(f"/proc/{_pid(made)}/fd").iterdir())


def _warmed_up(made: Rig) -> _Open:
    """What is open once many have been there at once, and all of them are gone.

    A pool that is smaller than it may be is counted as full: it may grow at any time.
    """

    def ask(_: int) -> None:
        for body in (os.urandom(SMALL), os.urandom(STREAMED)):
            answer = made.service.call("POST", OBJECTS, body)
            if answer is None or answer[0] != 201:
                raise Broken(f"an upload is answered {answer}")

    with ThreadPoolExecutor(_TOGETHER) as threads:
        list(threads.map(ask, range(4 * _TOGETHER)))
    least = _open(made)
    for _ in range(10):  # what they had open is closed a moment later
        time.sleep(0.1)
        least = min(least, _open(made), key=lambda each: each.descriptors)
    return _Open(least.descriptors, POOL_SIZE if made.store.kind == "postgres" else 0)


def _open(made: Rig) -> _Open:
    connections = sum(_sessions(made.store).values())
    return _Open(len(_links(made)) - connections, connections)


def _sessions(store: Store) -> Counter[str]:
    """How many connections to the database there are in each state, but for this one."""
    if store.kind != "postgres":
        return Counter()

    async def ask() -> list[tuple[str, int]]:
        connection = await asyncpg.connect(store.url)
        try:
            return list(await connection.fetch(_SESSIONS))
        finally:
            await connection.close()

    return Counter(dict(anyio.run(ask)))


def _nothing_left(made: Rig, before: _Open, counts: Counts) -> _Open:
    """Wait until the service has got rid of everything, by its own means; what it has open then.

    Raises:
        Broken: It does not.
    """
    deadline = time.monotonic() + LEASE_S + GONE_S
    while True:
        if made.command("gc", "run", "--grace-s", "0"):
            raise Broken(f"gc run failed: {made.logged()}")
        now, sessions = _open(made), _sessions(made.store)
        staged = [*made.store.folder.glob("*/.staging/*")]
        left = {
            "leases": made.store.count("objects WHERE status = 'WRITING'"),
            "staged files": len(staged),
            "transactions": sum(n for state, n in sessions.items() if "transaction" in state),
            "connections to the database": max(0, now.connections - before.connections),
            "descriptors": max(0, now.descriptors - before.descriptors),
        }
        counts["sweeps until nothing was left"] += 1
        if not any(left.values()):
            return now
        if time.monotonic() > deadline:
            targets = Counter(map(_target, _links(made))).most_common(5)
            raise Broken(f"left by the crowd: {left}; {staged[:3]}; open: {targets}")
        time.sleep(0.5)


def _target(link: Path) -> str:
    with suppress(OSError):
        return str(link.readlink()).partition(":")[0]
    return "gone"
