"""Kill: SIGKILL to servers and collectors at random instants, while clients work.

Several servers and collectors without any grace share one store; a killer ends one of them again
and again, those that are just starting included, and it is started anew. Few distinct contents make
uploads meet each other's, deletes and the collectors.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.torture.clients import Client, contents, working
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.nursery import Child, Nursery
from tests.torture.service import STORES, Service, config_of, opened_store, settle, write_config

__all__ = ["run"]

CLIENTS = 10
CONTENTS = 12
SERVERS = 3
COLLECTORS = 2
PAUSE_S = 0.06
KILLS = 10_000
"""Of a complete pass, on all stores together."""

KILLS_OF_A_ROUND = 500
"""After so many all that was acknowledged is read and the store audited; then a new one begins."""


@dataclass
class _Collector:
    """`juststorage gc worker`."""

    nursery: Nursery
    config: str
    number: int
    service: Service
    child: Child | None = None

    def start(self) -> None:
        words = ["gc", "worker", "--config", self.config]
        self.child = self.nursery.start(words, self.service.log)


@dataclass
class _Killer:
    """Kills a member about every `PAUSE_S` seconds."""

    servers: list[Service]
    collectors: list[_Collector]
    chance: random.Random
    counts: Counts = field(default_factory=Counter)
    problem: BaseException | None = None
    _over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> _Killer:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._over.wait(PAUSE_S * self.chance.uniform(0.2, 1.8)):
                self._kill(self.chance.choice([*self.servers, *self.collectors]))
        except BaseException as error:  # noqa: BLE001  told by the main thread
            self.problem = error

    def _kill(self, member: Service | _Collector) -> None:
        if isinstance(member, Service) and not any(
            other.is_ready() for other in self.servers if other is not member
        ):
            return  # a client needs somebody to talk to
        assert member.child is not None
        code = member.child.kill()
        if code != -9:
            raise Broken(f"a process ended by itself with code {code}: {self.servers[0].logged()}")
        self.counts["SIGKILLs of " + type(member).__name__.strip("_").lower() + "s"] += 1
        if isinstance(member, Service):
            member.start(wait=False)
        else:
            member.start()


def run(run: Run) -> Counts:
    """Kill on each store for its share of the time, or so often as a complete pass has to."""
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        if not run.is_complete:
            _on(run, kind, until_left_s=until_left_s)
            continue
        rounds = range(KILLS // len(STORES) // KILLS_OF_A_ROUND)

        def name(number: int, kind: str = kind) -> str:
            return f"round {number} of kills on {kind}"

        for number in run.each(rounds, name):
            _on(run, kind, until_left_s=until_left_s, kills=KILLS_OF_A_ROUND, name=f"{number}")
    return run.counts


def _on(
    run: Run, kind: str, *, until_left_s: float, kills: int | None = None, name: str = ""
) -> None:
    chance = random.Random(run.chance.random())
    folder = run.folder / f"{kind}{name}"
    folder.mkdir()
    with opened_store(kind, folder) as store, Nursery(folder) as nursery:
        config = write_config(folder / "torture.toml", config_of(store))
        log = folder / "torture.log"
        servers = [Service(nursery, config, log) for _ in range(SERVERS)]
        collectors = [_Collector(nursery, str(config), n, servers[0]) for n in range(COLLECTORS)]
        servers[0].start()  # alone, as it makes the store
        for member in (*servers[1:], *collectors):
            member.start()
        pool = contents(chance, CONTENTS)
        ports = [server.port for server in servers]
        crowd = [
            Client(f"c{n}", ports, pool, random.Random(chance.random())) for n in range(CLIENTS)
        ]
        killer = _Killer(servers, collectors, random.Random(chance.random()))
        with working(crowd), killer:
            while run.left_s > until_left_s and killer.problem is None:
                if any(client.problem for client in crowd):
                    break
                run.tell(f"{sum(killer.counts.values())} SIGKILLs on {kind} in this round")
                if kills is not None and sum(killer.counts.values()) >= kills:
                    break
                time.sleep(0.1)
        if killer.problem is not None:
            raise killer.problem
        for server in servers:
            server.wait_until_ready()
        for client in crowd:
            client.check_all()
        for collector in collectors:
            assert collector.child is not None
            collector.child.send(15)
            if collector.child.wait() != 0:
                raise Broken(f"a collector did not end in order: {servers[0].logged()}")
        settle(store)
        for client in crowd:
            client.check_all()
        for server in servers:
            server.stop()
    run.counts += Counter({f"{what} on {kind}": n for what, n in _summed(crowd).items()})
    run.counts += Counter({f"{what} on {kind}": n for what, n in killer.counts.items()})
    run.counts["SIGKILLs"] += sum(killer.counts.values())


def _summed(crowd: list[Client]) -> Counts:
    total: Counts = Counter()
    for client in crowd:
        total += client.counts
    total["objects in the journals"] = sum(len(client.journal.entries) for client in crowd)
    return total
