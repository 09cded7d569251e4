"""Soak: much of everything, for long, while collectors without any grace take what they can get.

Four collectors and 32 clients, on few contents, which are shared and come back all the time, and on
many. Nobody is killed and nothing fails: what a reader misses, the protocol has lost by itself.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import NamedTuple

from tests.torture.auditor import settle
from tests.torture.clients import TENANTS, Client, contents, working
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.members import Service, collections_ended
from tests.torture.nursery import Child, Nursery
from tests.torture.service import STORES, config_of, free_port, opened_store, write_config

__all__ = ["run"]

COLLECTORS = 4
SERVERS = 2
CLIENTS = 32
FEW, MANY = 50, 5_000
OPERATIONS = 1_000_000
"""Of a complete pass, on all stores together."""

OPERATIONS_OF_A_ROUND = 25_000
"""After so many all that is there is read and the store audited; then a new one begins."""

COLLECTIONS_MIN = 10
"""In each round: 400 in a complete pass."""

_SIZES_OF_MANY = (0, 1, 100, 1000, 4096, 5000, 65_537)
_DEAD_KEPT = 20
"""Objects of each client that are gone and are read once more after a round."""


class _Round(NamedTuple):
    """One of the same kind as others."""

    number: int
    kind: str
    contents: int
    operations: int | None
    """None for as many as there is time for."""

    def __str__(self) -> str:
        return f"round {self.number} of {self.contents} contents on {self.kind}"


def run(run: Run) -> Counts:
    """Rounds with few contents and with many on each store; with little time one on each."""
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        if not run.is_complete:
            count = (FEW, MANY)[place % 2]
            _soak(run, _Round(0, kind, count, None), until_left_s=until_left_s)
            continue
        rounds = [
            _Round(number, kind, (FEW, MANY)[number % 2], OPERATIONS_OF_A_ROUND)
            for number in range(OPERATIONS // len(STORES) // OPERATIONS_OF_A_ROUND)
        ]
        for each in run.each(rounds, str):
            _soak(run, each, until_left_s=until_left_s)
    return run.counts


def _soak(run: Run, this: _Round, *, until_left_s: float) -> None:
    chance = run.chance
    folder = run.folder / str(this).replace(" ", "-")
    folder.mkdir()
    with opened_store(this.kind, folder) as store, Nursery(folder) as nursery:
        config = write_config(folder / "torture.toml", config_of(store))
        log = folder / "torture.log"
        servers = [Service(nursery, config, log) for _ in range(SERVERS)]
        with run.not_counted():
            for server in servers:  # one after the other, as the first one makes the store
                server.start()
        pool = contents(chance, FEW)
        if this.contents > FEW:
            pool = contents(chance, this.contents, _SIZES_OF_MANY)
        ports = [server.port for server in servers]
        crowd = [
            Client(f"c{n}", ports, pool, random.Random(chance.random()), tenant=TENANTS[n % 2])
            for n in range(CLIENTS)
        ]
        collectors: dict[int, Child] = {}
        for port in (free_port() for _ in range(COLLECTORS)):
            written = config_of(store, gc={"metrics_port": port})
            its = write_config(folder / f"collector-{port}.toml", written)
            collectors[port] = nursery.start(["gc", "worker", "--config", str(its)], log)
        began = time.monotonic()
        with working(crowd):
            while run.left_s > until_left_s and not any(client.problem for client in crowd):
                done = sum(_operations(client) for client in crowd)
                run.tell(f"{done:,} operations in {this}")
                if this.operations is not None and done >= this.operations:
                    break
                time.sleep(0.2)
        took_s = time.monotonic() - began
        collections = sum(map(_collections, collectors))
        for child in collectors.values():
            child.send(15)
            if child.wait() != 0:
                raise Broken(f"a collector did not end in order: {servers[0].logged()}")
        if this.operations is not None and collections < COLLECTIONS_MIN:
            raise Broken(f"only {collections} collections beside {this.operations} operations")
        for client in crowd:
            _forget_the_dead(client)
            client.check_all()
        settle(store)
        for client in crowd:
            client.check_all()
        for server in servers:
            server.stop()
    _count(run, this, crowd, collections, took_s)


def _operations(client: Client) -> int:
    """Those that were answered with success."""
    return sum(n for what, n in client.counts.items() if " " not in what)


def _collections(port: int) -> int:
    """How many a collector has ended, by its own account."""
    deadline = time.monotonic() + 30
    while (ended := collections_ended(port)) is None:
        if time.monotonic() > deadline:
            raise Broken("a collector does not tell what it did")
        time.sleep(0.1)
    return ended


def _forget_the_dead(client: Client) -> None:
    """All but the last ones: each was read often enough while it was young."""
    entries = client.journal.entries
    client.journal.entries = [e for e in entries[:-_DEAD_KEPT] if not e.deleted]
    client.journal.entries += entries[-_DEAD_KEPT:]


def _count(run: Run, this: _Round, crowd: list[Client], collections: int, took_s: float) -> None:
    total: Counts = Counter()
    for client in crowd:
        total += client.counts
    run.counts += total
    operations = sum(map(_operations, crowd))
    run.counts["operations"] += operations
    run.counts["collections"] += collections
    run.counts[f"operations on {this.contents} contents on {this.kind}"] += operations
    run.counts[f"seconds on {this.contents} contents on {this.kind}"] += round(took_s)
