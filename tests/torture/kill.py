"""Kill: SIGKILL to servers and collectors at random instants, while clients work.

Several servers, one of them with two workers, and collectors without any grace share one store. A
killer ends one of them again and again, those that are just starting included, and it is started
anew. Of the server with workers it ends all at once, the parent alone, or a worker, which the
parent replaces. Few distinct contents make uploads meet each other's, deletes and the collectors.

In some rounds of a complete pass bodies have up to 64 MiB, and time to arrive.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.torture.auditor import settle
from tests.torture.clients import TENANTS, Client, contents, working
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.members import Collector, Service, collections_ended
from tests.torture.nursery import Nursery
from tests.torture.service import STORES, Store, config_of, free_port, opened_store, write_config

__all__ = ["is_alive", "run"]

CLIENTS = 10
CONTENTS = 12
WORKERS = (2, 1, 1)
"""Of each server."""

COLLECTORS = 2
WORKER_KILLS_MAX = 2
"""In one life of their server: it gives up on workers that die too often."""

READY_S = 3.0
READY_MAX_S = 20.0
"""How soon a server is ready again on a machine that has time for it, and on any."""

WATCHED = 0.1
"""Of the servers that are killed as a whole: somebody waits until they are ready again."""

ORPHANS_S = 20.0
"""How soon workers without a parent have answered whom they have, and are gone."""

KILLS = 10_000
"""Of a complete pass, on all stores together."""

KIB, MIB = 1024, 1024 * 1024
LARGE_SIZES = (KIB, 100 * KIB, 3 * MIB, 20 * MIB, 64 * MIB)


class _Round(NamedTuple):
    """After so many kills all that was acknowledged is read and the store audited.

    Args:
        kills: How many; None for as many as there is time for.
        pause_s: Between two of them, on average.
        sizes: Of what two of the clients send; the others send small bodies.
    """

    kills: int | None
    pause_s: float = 0.06
    sizes: tuple[int, ...] = ()


_MANY = _Round(500)
_LARGE = _Round(30, 1.0, LARGE_SIZES)
LARGE_ROUNDS = 10
"""Of a complete pass, on all stores together."""


@dataclass
class _Killer:
    """Kills somebody about every `pause_s` seconds."""

    servers: list[Service]
    collectors: list[Collector]
    chance: random.Random
    pause_s: float
    counts: Counts = field(default_factory=Counter)
    problem: BaseException | None = None
    slowest_ms: int = 0
    """Until a server was ready again, where somebody waited for that."""

    _dead_workers: Counter[int] = field(default_factory=Counter)
    """By the server's process; those are here of which all workers have been seen."""

    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def kills(self) -> int:
        """So far."""
        return sum(n for what, n in self.counts.items() if what.startswith("SIGKILLs"))

    def __enter__(self) -> _Killer:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(self.pause_s * self.chance.uniform(0.2, 1.8)):
                member = self.chance.choice([*self.servers, *self.collectors])
                if isinstance(member, Collector):
                    self._kill(member)
                    member.start()
                elif any(other.is_ready() for other in self.servers if other is not member):
                    # A client needs somebody to talk to.
                    self._end(member)
        except BaseException as error:  # noqa: BLE001  told by the main thread
            self.problem = error

    def _end(self, server: Service) -> None:
        ways = (self._whole, self._parent, self._worker) if server.workers > 1 else (self._whole,)
        self.chance.choice(ways)(server)

    def _kill(self, member: Service | Collector) -> None:
        assert member.child is not None
        code = member.child.kill()
        if code != -9:
            raise Broken(f"a {member.name} ended by itself with code {code}: {member.logged()}")
        self.counts["SIGKILLs of " + type(member).__name__.lower() + "s"] += 1

    def _worker(self, server: Service) -> None:
        """One of them, which the others' work does not depend on."""
        assert server.child is not None
        parent = server.child.pid
        # A worker that cannot even start for the first time ends its server, as it has to.
        if parent not in self._dead_workers and not _have_all_started(server):
            return
        if self._dead_workers[parent] < WORKER_KILLS_MAX and (pids := server.worker_pids()):
            self._dead_workers[parent] += 1
            _kill_pid(self.chance.choice(pids))
            self.counts["SIGKILLs of workers"] += 1

    def _parent(self, server: Service) -> None:
        """Alone: its workers see that, and make room for the next one's."""
        orphans = self._kill_with(server, workers=False)
        self.counts["workers who saw that their server was dead"] += len(orphans)

    def _whole(self, server: Service) -> None:
        """As a container or a unit of systemd ends."""
        self._kill_with(server, workers=True)
        if self.chance.random() < WATCHED:
            self._watch(server)

    def _kill_with(self, server: Service, *, workers: bool) -> list[int]:
        """Kill it, see all its processes go, and start it again; who its workers were."""
        assert server.child is not None
        # Stopped, it has no further worker.
        server.child.send(signal.SIGSTOP)
        while server.child.is_running and not server.child.is_frozen():
            time.sleep(0.001)
        pids = server.worker_pids()
        self._kill(server)
        for pid in pids if workers else ():
            _kill_pid(pid)
        deadline = time.monotonic() + ORPHANS_S
        while any(map(is_alive, pids)):
            if time.monotonic() > deadline:
                raise Broken(f"workers outlive their server: {server.logged()}")
            time.sleep(0.005)
        server.start(wait=False)
        return pids

    def _watch(self, server: Service) -> None:
        """See how soon it is ready again."""
        began = time.monotonic()
        server.wait_until_ready(READY_MAX_S)
        took_s = time.monotonic() - began
        self.slowest_ms = max(self.slowest_ms, int(took_s * 1000))
        within = f"within {READY_S:g} s" if took_s <= READY_S else "later"
        self.counts[f"times a server was ready again {within}"] += 1


@dataclass
class _Collected:
    """How many collections have ended beside the kills.

    At least: what a collector ends between the last look and its death is in no account.
    """

    ports: Sequence[int]
    """Where collectors tell that of their present lives."""

    ended: int = 0
    _last: Counter[int] = field(default_factory=Counter)

    def look(self) -> None:
        """Ask all of them; some are dead, or just starting."""
        for port in self.ports:
            now = collections_ended(port)
            if now is not None:
                is_same_life = now >= self._last[port]
                self.ended += now - self._last[port] if is_same_life else now
                self._last[port] = now


def _have_all_started(server: Service) -> bool:
    """Whether requests are answered by all its workers: each has ids of its own for requests."""
    seen = set()
    for _ in range(8 * server.workers):
        exchanged = server.exchange("GET", "/health", timeout=5)
        if exchanged is not None:
            seen.add(exchanged[1]["X-Request-Id"].partition("-")[0])
    return len(seen) == server.workers


def is_alive(pid: int) -> bool:
    """Whether it runs; one that is dead and that nobody has asked after does not.

    Each of its threads has to be dead: until the last one is, all of them have its sockets.
    """
    return any(_state(thread) not in "ZX" for thread in Path("/proc").glob(f"{pid}/task/*/stat"))


def _state(stat: Path) -> str:
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def _kill_pid(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def run(run: Run) -> Counts:
    """Kill on each store for its share of the time, or so often as a complete pass has to."""
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        if not run.is_complete:
            _on(run, kind, _Round(None), until_left_s=until_left_s)
            continue
        assert _MANY.kills is not None
        todo = [("round", n, _MANY) for n in range(KILLS // len(STORES) // _MANY.kills)]
        todo += [("large round", n, _LARGE) for n in range(LARGE_ROUNDS // len(STORES))]

        def name(this: tuple[str, int, _Round], kind: str = kind) -> str:
            return f"{this[0]} {this[1]} of kills on {kind}"

        for what, number, each in run.each(todo, name):
            _on(run, kind, each, until_left_s=until_left_s, name=f" {what} {number}")
    return run.counts


def _on(run: Run, kind: str, this: _Round, *, until_left_s: float, name: str = "") -> None:
    chance = random.Random(run.chance.random())
    folder = run.folder / f"{kind}{name.replace(' ', '-')}"
    folder.mkdir()
    with opened_store(kind, folder) as store, Nursery(folder) as nursery:
        # Workers without a parent have no proxy to tell that they go.
        config = write_config(
            folder / "torture.toml", config_of(store, server={"drain_delay_s": 0})
        )
        servers = [
            Service(nursery, config, folder / f"server-{place}.log", workers=n)
            for place, n in enumerate(WORKERS)
        ]
        collected = _Collected([free_port() for _ in range(COLLECTORS)])
        collectors = [
            Collector(nursery, _collector_config(store, folder, port), folder / f"{port}.log")
            for port in collected.ports
        ]
        with run.not_counted():
            servers[0].start()  # alone, as it makes the store
            for member in (*servers[1:], *collectors):
                member.start()
        crowd = _crowd(servers, chance, this.sizes)
        killer = _Killer(servers, collectors, random.Random(chance.random()), this.pause_s)
        with working(crowd), killer:
            while killer.problem is None and not run.is_stopped:
                # One at least: to start all this may have taken the time.
                if run.left_s <= until_left_s and killer.kills:
                    break
                if any(client.problem for client in crowd):
                    break
                collected.look()
                run.tell(f"{killer.kills} SIGKILLs on {kind} in this round")
                if this.kills is not None and killer.kills >= this.kills:
                    break
                time.sleep(0.1)
        if killer.problem is not None:
            raise killer.problem
        summed = _summed(crowd)
        summed["collections"] = collected.ended
        if this.kills is not None and not run.is_stopped:
            for what in ("collections", "uploads"):
                if not summed[what]:
                    raise Broken(f"no {what} between {killer.kills} SIGKILLs")
        _check(servers, collectors, crowd, store)
    run.counts += Counter({f"{what} on {kind}": n for what, n in summed.items()})
    run.counts += Counter({f"{what} on {kind}": n for what, n in killer.counts.items()})
    run.counts["SIGKILLs"] += killer.kills
    slowest = f"milliseconds until a server was ready again on {kind}, at most"
    run.counts[slowest] = max(run.counts[slowest], killer.slowest_ms)


def _collector_config(store: Store, folder: Path, port: int) -> Path:
    return write_config(
        folder / f"collector-{port}.toml", config_of(store, gc={"metrics_port": port})
    )


def _crowd(servers: list[Service], chance: random.Random, sizes: tuple[int, ...]) -> list[Client]:
    pool = contents(chance, CONTENTS)
    large = [b"%d-" % size + chance.randbytes(size - 10) for size in sizes]
    ports = [server.port for server in servers]
    return [
        Client(
            f"c{n}",
            ports,
            large if large and n < 2 else pool,
            random.Random(chance.random()),
            tenant=TENANTS[n % 2],
        )
        for n in range(CLIENTS)
    ]


def _check(
    servers: list[Service], collectors: list[Collector], crowd: list[Client], store: Store
) -> None:
    """Everything that was acknowledged is there, before and after the store is audited."""
    for server in servers:
        server.wait_until_ready()
    for client in crowd:
        client.check_all()
    for collector in collectors:
        collector.stop()
    settle(store)
    for client in crowd:
        client.check_all()
    for server in servers:
        server.stop()


def _summed(crowd: list[Client]) -> Counts:
    total: Counts = Counter()
    for client in crowd:
        total += client.counts
    total["objects in the journals"] = sum(len(client.journal.entries) for client in crowd)
    return total
