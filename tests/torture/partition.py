"""Partition: two replicas on one database and one bucket, and lines that go bad one by one.

Two servers and a collector, each with a line of its own to PostgreSQL and to a real S3 server. Line
by line, and all at once: it is cut off, falls silent, or loses what comes back, for up to two and a
half seconds, and whatever was on its way arrives when the line is well again, although who said it
may have given up; or somebody is killed. Clients work at both servers, duellists try to replace the
same keys on the same conditions through different servers, and the collector has no grace.

The replica whose lines are well goes on meanwhile. Afterwards both do; they answer every question
alike; what was acknowledged is read from both, and what was deleted is on neither; no two of the
duellists who met one condition have both won; the auditor finds nothing, in the bucket as well; and
nothing is under way.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from juststorage_objectstore.testing import S3Server, running_s3
from juststorage_postgres.testing import PostgresServer, made_database, migrate, own_server
from tests.torture.acts import OBJECTS
from tests.torture.auditor import auditing
from tests.torture.clients import Client, contents, working
from tests.torture.duels import Duels
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.lines import BAD, Lines, opened_lines
from tests.torture.members import Collector, Service
from tests.torture.nursery import Nursery
from tests.torture.outcomes import all_slots_free
from tests.torture.service import Store, config_of, write_config

__all__ = ["run"]

RECOVERED_S = 5.0
"""How soon a replica stores again once its lines are well; and the other one, all the time."""

READY_S = 20.0
"""How soon one does that was killed, on any machine."""

TIMES: Final = 3
"""Of each fault, in a complete pass."""

_MIB: Final = 2**20
_BAD_S: Final = (0.3, 2.5)
_CLIENTS, _CONTENTS, _DUELS = 5, 12, 3
_SIZES: Final = (0, 1, 100, 4096, 65_537, 300_000)
_LARGE: Final = 6 * _MIB
"""A body of two parts, of one of the clients."""

_KEPT = 4
"""Objects of each client that stay from one fault to the next."""

_QUIET_S: Final = 15.0

_OPTIONS: Final = {
    "connect_timeout_s": 1,
    "statement_timeout_s": 1,
    "lock_timeout_s": 0.5,
    "idle_in_transaction_timeout_s": 3,
}
_BUCKET: Final = {
    "connect_timeout_s": 1,
    "timeout_s": 1,
    "retries": 1,
    "deadline_s": 2,
    "part_bytes": 5 * _MIB,
}
"""So short that a line which is bad for its longest outlasts all of them."""

_REPLICAS: Final = ("replica 1", "replica 2")
_COLLECTOR: Final = "collector"
_KILLED: Final = ("killed", "killed in silence")


class _Step(NamedTuple):
    """One fault."""

    who: str
    line: str
    """None of them for a death."""
    fault: str
    time: int

    def __str__(self) -> str:
        which = f" {self.line}" if self.line else ""
        return f"{self.who}:{which} {self.fault}, time {self.time}"

    @property
    def struck(self) -> Sequence[str]:
        """Whom it strikes."""
        return (*_REPLICAS, _COLLECTOR) if self.who == "all" else (self.who,)

    @property
    def kills(self) -> bool:
        """Whether they die of it."""
        return self.fault in _KILLED


def _steps() -> list[_Step]:
    faults = [(line, fault) for line, those in BAD.items() for fault in those]
    faults += [("", fault) for fault in _KILLED]
    return [
        _Step(who, line, fault, time)
        for time in range(1, TIMES + 1)
        for line, fault in faults
        for who in (*_REPLICAS, _COLLECTOR, "all")
    ]


def run(run: Run) -> Counts:
    """For as many faults as there is time for, in the order of the seed."""
    with ExitStack() as stack:
        with run.not_counted():
            made = stack.enter_context(_deployment(run))
        for this in run.each(_steps(), str):
            try:
                made.endure(this, run.chance)
            except Broken as broken:
                raise Broken(f"{this}: {broken}") from broken
        made.end()
    return run.counts


# -- what there is --------------------------------------------------------------------------------


@contextmanager
def _deployment(run: Run) -> Iterator[_Deployment]:
    with ExitStack() as stack:
        bucket_server = stack.enter_context(running_s3())
        server = stack.enter_context(own_server())
        url = stack.enter_context(made_database(PostgresServer(server.url(), "own", server)))
        migrate(url)
        buckets = {name: bucket_server.make_bucket() for name in ("hot", "cold")}
        (run.folder / "data").mkdir()
        store = Store("postgres", run.folder, url, blobs=_blobs(bucket_server, buckets))
        nursery = stack.enter_context(Nursery(run.folder))
        lines, configs = {}, {}
        for number, name in enumerate((*_REPLICAS, _COLLECTOR)):
            folder = run.folder / f"p{number}"
            its = lines[name] = stack.enter_context(
                opened_lines(folder, bucket_server.endpoint, server)
            )
            through = replace(
                store,
                url=url.replace(str(server.root), str(folder)),
                blobs=_blobs(bucket_server, buckets, endpoint=its.bucket.endpoint, **_BUCKET),
            )
            written = config_of(through, options=_OPTIONS, downloads={"cache_bytes": 0})
            configs[name] = write_config(folder / "torture.toml", written)
        logs = {name: configs[name].with_suffix(".log") for name in configs}
        replicas = {name: Service(nursery, configs[name], logs[name]) for name in _REPLICAS}
        for service in replicas.values():
            service.start()
        collector = Collector(nursery, configs[_COLLECTOR], logs[_COLLECTOR])
        collector.start()
        collector.wait_until_ready()
        settle = stack.enter_context(auditing(store))
        ports = [service.port for service in replicas.values()]
        chance = random.Random(run.seed)
        pool = contents(chance, _CONTENTS, _SIZES)
        crowd = [Client(f"c{n}", ports, pool, chance, in_turns=False) for n in range(_CLIENTS)]
        crowd[0].pool = [*pool, chance.randbytes(_LARGE)]
        prober = Client("n", ports, pool, chance)
        yield _Deployment(store, replicas, collector, lines, crowd, prober, settle, run.counts)


def _blobs(server: S3Server, buckets: Mapping[str, str], **options: Any) -> dict[str, Any]:
    return {
        name: {"backend": "objectstore", "objectstore": server.table(bucket, name, **options)}
        for name, bucket in buckets.items()
    }


@dataclass
class _Deployment:
    """All of it, and who works with it."""

    store: Store
    replicas: Mapping[str, Service]
    collector: Collector
    lines: Mapping[str, Lines]
    crowd: Sequence[Client]
    prober: Client
    """Its journal has what was uploaded to see whether a replica stores."""

    settle: Any
    counts: Counts
    _fought: int = 0

    @property
    def ports(self) -> list[int]:
        return [service.port for service in self.replicas.values()]

    @property
    def clients(self) -> list[Client]:
        return [*self.crowd, self.prober]

    # -- a fault ------------------------------------------------------------------------------

    def endure(self, this: _Step, chance: random.Random) -> None:
        """Let it happen while everybody works, and look at everything."""
        for client in self.clients:
            client.chance = random.Random(chance.random())
        self._fought += 1
        duels = Duels(f"d{self._fought}", self.ports, _DUELS, chance)
        with working(self.crowd), duels.fought():
            time.sleep(chance.uniform(0.1, 0.5))
            try:
                self._strike(this, chance)
            finally:
                for lines in self.lines.values():
                    lines.heal()
            self._recover(this, chance)
        self.collector.stop()
        self._wait_until_quiet()
        self._agree(duels)
        duels.judge(self.counts)
        self.settle()
        self._agree_on_lists()  # of the bytes behind them the auditor has read every one
        self._clear(duels)
        self.collector.start()
        self.collector.wait_until_ready(READY_S)
        for client in self.clients:
            self.counts.update(client.counts)
            client.counts.clear()
        self.counts["faults"] += 1
        self.counts[f"faults: {this.line} {this.fault}".replace(":  ", ": ")] += 1

    def _strike(self, this: _Step, chance: random.Random) -> None:
        until = time.monotonic() + chance.uniform(*_BAD_S)
        if this.line:
            for name in this.struck:
                self.lines[name].go_bad(this.line, this.fault)
        elif this.fault == "killed in silence":
            for name in this.struck:
                self.lines[name].go_bad("both", "silent")
            time.sleep(chance.uniform(0, 0.5))
        if this.kills:
            for name in this.struck:
                self._kill(name)
        for name, service in self.replicas.items():
            if name not in this.struck:
                self._stores(service, chance, RECOVERED_S, "beside the fault")
        time.sleep(max(0.0, until - time.monotonic()))

    def _kill(self, name: str) -> None:
        member = self.replicas.get(name, self.collector)
        code = member.kill()
        if code != -9:
            raise Broken(f"{name} ended by itself with code {code}: {member.logged()}")
        self.counts["SIGKILLs"] += 1

    def _recover(self, this: _Step, chance: random.Random) -> None:
        began = time.monotonic()
        if this.kills:
            for name in this.struck:
                member = self.replicas.get(name, self.collector)
                member.start(wait=False) if isinstance(member, Service) else member.start()
        self.collector.wait_until_ready(READY_S)
        within_s, what = (READY_S, "a start") if this.kills else (RECOVERED_S, "a line was well")
        for service in self.replicas.values():
            self._stores(service, chance, within_s, f"after {what}", began=began)
        took_ms = int((time.monotonic() - began) * 1000)
        slowest = f"milliseconds until both replicas stored again after {what}, at most"
        self.counts[slowest] = max(self.counts[slowest], took_ms)

    def _stores(
        self,
        service: Service,
        chance: random.Random,
        within_s: float,
        when: str,
        *,
        began: float | None = None,
    ) -> None:
        """Upload what nobody else has, until that is answered with success."""
        began = time.monotonic() if began is None else began
        data = chance.randbytes(50)
        while True:
            answer = service.call("POST", OBJECTS, data, timeout=30)
            if answer is not None and answer[0] == 201:
                break
            if answer is not None and answer[0] != 503:
                raise Broken(f"an upload {when} answers {answer}")
            if time.monotonic() - began > 3 * within_s:
                raise Broken(f"no upload succeeds {when}: {answer}, {service.logged()}")
            time.sleep(0.02)
        self.prober.journal.uploaded(answer[1], data)
        took_s = time.monotonic() - began
        if took_s > within_s:
            raise Broken(f"it took {took_s:.1f} s until an upload succeeded {when}")

    # -- afterwards ---------------------------------------------------------------------------

    def _wait_until_quiet(self) -> None:
        """Nobody asks for anything: what still happens is what nobody waits for."""
        deadline = time.monotonic() + _QUIET_S
        while under_way := self._under_way():
            if time.monotonic() > deadline:
                raise Broken(f"nobody asks for anything, and there are {under_way}")
            time.sleep(0.02)
        for service in self.replicas.values():
            all_slots_free(service)

    def _under_way(self) -> str:
        requests = [line for lines in self.lines.values() for line in lines.bucket.under_way]
        statements = self.store.count(
            "pg_stat_activity WHERE datname = current_database() AND state <> 'idle'"
            " AND pid <> pg_backend_pid()"
        )
        if not requests and not statements:
            return ""
        return f"requests to the bucket {requests}, and {statements} statements or transactions"

    def _agree(self, duels: Duels) -> None:
        """Both replicas say the same of everything, and it is what was acknowledged."""
        for client in self.clients:
            for port in self.ports:  # what may be either, the first one settles
                client.ports = (port,)
                client.check_all()
            client.ports = self.ports
        self._agree_on_lists()
        keys = [f"/v1/objects/by-key/{c.name}/t/key-{n}" for c in self.crowd for n in range(3)]
        for target in (*duels.paths, *keys):
            self._same(target)
        self.counts["keys that both replicas answered alike"] += len(keys) + len(duels.paths)
        entries = sum(len(client.journal.entries) for client in self.clients)
        self.counts["objects read from both replicas"] += entries

    def _agree_on_lists(self) -> None:
        """What is listed, by both alike, is what was acknowledged, and nothing that was deleted."""
        for client in self.clients:
            listed = {each["id"] for each in self._listed(client.name)}
            living = {entry.id for entry in client.journal.living}
            gone = {entry.id for entry in client.journal.entries if entry.deleted}
            if living - listed or gone & listed:
                raise Broken(f"not listed: {living - listed}; deleted, and listed: {gone & listed}")

    def _same(self, target: str) -> tuple[int, bytes]:
        first, second = (service.call("GET", target) for service in self.replicas.values())
        if first is None or second is None or first[0] not in {200, 404} or first[0] != second[0]:
            raise Broken(f"the replicas answer {target} with {first} and {second}")
        if first[0] == 200 and first[1] != second[1]:  # a refusal has its request's own id
            raise Broken(f"the replicas answer {target} with {first} and {second}")
        return first

    def _listed(self, namespace: str) -> list[dict[str, Any]]:
        _, body = self._same(f"/v1/objects?namespace={namespace}&tenant_id=t&limit=1000")
        page: list[dict[str, Any]] = json.loads(body)["objects"]
        return page

    def _clear(self, duels: Duels) -> None:
        """Delete all but a few, so that the next fault has as much to look at as this one."""
        for client in self.clients:
            living = client.journal.living[-_KEPT:]
            gone = [entry for entry in client.journal.entries if entry.deleted][-2 * _KEPT :]
            kept = {entry.id for entry in living}
            for entry in client.journal.living[:-_KEPT]:
                entry.deleted = True
                gone.append(entry)
            client.journal.entries = [*living, *gone]
            client.journal.forget()
            self._delete({each["id"] for each in self._listed(client.name)} - kept)
        self._delete({each["id"] for each in self._listed(duels.namespace)})

    def _delete(self, ids: set[str]) -> None:
        for number, object_id in enumerate(sorted(ids)):
            service = self.replicas[_REPLICAS[number % 2]]
            answer = service.call("DELETE", f"/v1/objects/{object_id}?tenant_id=t")
            if answer is None or answer[0] != 204:
                raise Broken(f"{object_id} is listed, and deleting it answers {answer}")

    def end(self) -> None:
        """All processes end in order."""
        self.collector.stop()
        for service in self.replicas.values():
            service.stop()
