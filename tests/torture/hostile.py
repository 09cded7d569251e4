"""Hostile clients: idle, dripping, slow, vanishing, flooding; and good ones beside them.

The good clients go on at their pace, memory stays within bounds, and once the others are gone
nothing of them is left: no descriptor, no connection to the database, no lease, no staged byte.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from statistics import quantiles

from tests.torture.acts import OBJECTS
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.journal import Broken
from tests.torture.mob import crowd, good_ms, processes
from tests.torture.service import settle

__all__ = ["run"]

STAYING = {"idle": 1000, "drip_head": 500, "drip_body": 200, "read_slowly": 200}
CUT_OFF = {
    "idle": "idle connections that were ended",
    "drip_head": "dripping clients that were cut off",
    "drip_body": "dripping bodies that were cut off",
}
"""Nobody may stay who sends nothing, or next to nothing: what the crowd counts of each kind."""

VANISHING = 1000
SLOWER_AT_MOST = 3
NOISE_MS = 60.0
"""Below this a p99 says more about the machine than about the service."""

GROWN_MIB_MAX = 200
LARGE = 4_000_000
_SECTIONS: dict[str, dict[str, object]] = {
    "limits": {"header_timeout_s": 4},
    "uploads": {"lease_s": 10, "idle_timeout_s": 3, "rate_grace_s": 3, "min_rate_bytes_s": 1024},
}


def run(run: Run) -> Counts:
    """All kinds at once, as many as there is time for; a complete pass does it on each store."""
    scale = 1.0 if run.is_complete else min(1.0, run.seconds / 60)
    stores = run.stores if run.is_complete else run.stores[:1]
    for store in run.each(stores, str):
        with rig(run, store, **_SECTIONS) as made:
            _attack(made, run, store, scale)
            run.counts[f"descriptors afterwards on {store}"] = _nothing_left(made)
            made.service.stop()
    return run.counts


def _attack(made: Rig, run: Run, store: str, scale: float) -> None:
    counts, port = run.counts, made.service.port
    stored = made.service.call("POST", OBJECTS, os.urandom(LARGE))
    assert stored is not None and stored[0] == 201
    large = f"/v1/objects/{json.loads(stored[1])['id']}?tenant_id=t"
    staying = {kind: int(number * scale) for kind, number in STAYING.items()}
    with processes() as (good, others, over):
        alone = good.submit(good_ms, port, 10 * scale + 1, 200).result()
        rss = _rss_mib(made)
        crowding = others.submit(
            crowd, port, large, run.chance.getrandbits(32), staying, int(VANISHING * scale)
        )
        crowded = good.submit(good_ms, port, max(8.0, 20 * scale), 200).result()
        grown = _rss_mib(made) - rss
        over.set()
        seen = crowding.result()
        counts.update(seen)
    for kind, told in CUT_OFF.items():
        # A smaller crowd goes before the time of all of it is over.
        if scale == 1 and seen[told] != staying[kind]:
            raise Broken(f"of {staying[kind]} clients that {kind}, cut off were {seen[told]}")
    p99_alone, p99 = _p99(alone), _p99(crowded)
    counts[f"p99 of a good client alone on {store}, ms"] = round(p99_alone)
    counts[f"p99 of a good client in the crowd on {store}, ms"] = round(p99)
    counts[f"memory grown by the crowd on {store}, MiB"] = max(0, grown)
    # A fifth of the crowd, beside other tests on the same cores, says nothing of a time.
    if scale == 1 and p99 > max(NOISE_MS, SLOWER_AT_MOST * p99_alone):
        raise Broken(f"p99 of a good client: {p99_alone:.0f} ms, {p99:.0f} ms")
    if grown > GROWN_MIB_MAX:
        raise Broken(f"memory has grown by {grown} MiB")


def _p99(took: list[float]) -> float:
    return quantiles(took, n=100)[98]


# -- afterwards -----------------------------------------------------------------------------------


def _pid(made: Rig) -> int:
    assert made.service.child is not None
    return made.service.child.pid


def _rss_mib(made: Rig) -> int:
    text = Path(f"/proc/{_pid(made)}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) // 1024


def _descriptors(made: Rig) -> int:
    return len(list(Path(f"/proc/{_pid(made)}/fd").iterdir()))


def _nothing_left(made: Rig) -> int:
    deadline = time.monotonic() + 30
    # What a server that is just open has: the store, the database, the loop, a few of each.
    while (left := _descriptors(made)) > 60 and time.monotonic() < deadline:
        time.sleep(0.1)
    if left > 60:
        names = Counter(_target(each) for each in Path(f"/proc/{_pid(made)}/fd").iterdir())
        raise Broken(f"{left} descriptors are left open: {names.most_common(5)}")
    settle(made.store)
    return left


def _target(link: Path) -> str:
    with suppress(OSError):
        return str(link.readlink()).partition(":")[0]
    return "gone"
