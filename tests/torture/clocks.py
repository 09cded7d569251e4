"""Clocks: those of the hosts and that of the database jump, while clients and collectors work.

- `hosts`: two hosts, each with a clock of its own that jumps by up to an hour, forward and back, on
  one PostgreSQL whose clock is right. All ages are the database's: no upload expires, and nothing
  is collected, for it is younger than its grace.
- `database`: PostgreSQL's clock steps back ten minutes, which makes nothing younger or older than
  it may be, and then forward a day: uploads may expire, and what nothing refers to is collected
  before its time, into the trash, which is kept by the hosts' clocks: no bytes are gone.
- `machine`: one machine with SQLite, whose clock does all that. No bytes are gone.
  What bears a date is valid by the host's clock, too: a token within its leeway, an API key to the
  second.

Nothing that was acknowledged is lost in any of them. The mechanism is in `clock.py`.
"""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count, takewhile
from pathlib import Path
from typing import Any

from juststorage_postgres.testing import PostgresServer, made_database, migrate, own_server
from tests.torture.auditor import settle
from tests.torture.clients import Client, contents, working
from tests.torture.clock import HostClock, ServerClock
from tests.torture.credentials import SECRET, check_credentials
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Broken
from tests.torture.members import Service
from tests.torture.nursery import Child, Nursery
from tests.torture.service import Store, config_of, opened_store, write_config
from tests.torture.turns import Turns

__all__ = ["run"]

_HOUR_S, _DAY_S = 3600, 86_400
_CLIENTS, _CONTENTS, _RESTING = 6, 60, 8
_EVERY_S, _JUMPS_MIN = 0.4, 5
_SPELL_S = 2.0
_SLACK_S = 5
_EARLY = "blobs that went to the trash before their time by the clock of the"
JUMPS = 150
"""Of the hosts' clocks, and of the machine's, in a complete pass."""

STEPS_OF_THE_DATABASE = 10
"""Back and forward, in a complete pass."""


_CONFIG: dict[str, dict[str, Any]] = {
    "uploads": {"lease_s": 600},
    "gc": {
        "grace_s": _HOUR_S,
        "interval_s": 0.3,
        "claim_s": 0,
        # Longer than any clock here jumps forward.
        "trash_retention_s": 7 * _DAY_S,
        "staging_grace_s": _HOUR_S,
        "tombstone_retention_s": 1,
    },
    "auth": {
        "chain": ["api_key", "jwt"],
        "jwt": {"issuer": "i", "audience": ["a"], "algorithms": ["HS256"], "secret": SECRET},
    },
}
"""Ages of which a run that takes a minute never sees the end."""


# -- hosts ----------------------------------------------------------------------------------------


@dataclass
class _Host:
    """A server and a collector that share a clock."""

    service: Service
    config: Path
    nursery: Nursery
    collector: Child | None = None

    def start(self) -> None:
        self.service.start()
        words = ["gc", "worker", "--config", str(self.config)]
        self.collector = self.nursery.start(words, self.service.log)

    def stop_collecting(self) -> None:
        assert self.collector is not None
        self.collector.send(15)
        if self.collector.wait() != 0:
            raise Broken(f"a collector did not end in order: {self.service.logged()}")


@dataclass
class _Scene:
    """Hosts on a store, and clients at work."""

    store: Store
    hosts: list[_Host]
    crowd: list[Client]
    resting: list[Turns] = field(default_factory=list)
    """Uploads in turns with some bytes, of which more are sent only at the end."""

    def names(self) -> Iterator[str]:
        """The hash of everything that was ever acknowledged."""
        for client in self.crowd:
            for entry in client.journal.entries:
                yield hashlib.sha256(entry.data).hexdigest()

    def rest(self, chance: random.Random) -> None:
        for _ in range(_RESTING):
            query = "namespace=resting&tenant_id=t"
            turns = Turns(chance.randbytes(50_000), query, self.hosts[0].service.exchange)
            for status in (201, 204):
                answer = turns.step()
                if answer is None or answer[0] != status:
                    raise Broken(f"an upload in turns answers {answer}")
            self.resting.append(turns)

    def finish_resting(self) -> None:
        for turns in self.resting:
            answer = turns.step()
            if answer is None or answer[0] != 200:
                raise Broken(f"an upload that rested for less than its lease answers {answer}")

    def stop_collecting(self) -> None:
        """A file that is put back from the trash while both are listed would be in neither."""
        for host in self.hosts:
            host.stop_collecting()

    def check_files(self, *, may_be_trash: bool) -> int:
        """Everything that was ever stored is there; how much of it is in the trash."""
        names = set(self.names())  # clients may go on meanwhile
        placed, trashed = self._files(".trash", is_in=False), self._files(".trash", is_in=True)
        if trashed and not may_be_trash:
            raise Broken(f"collected before its time: {sorted(trashed)[:3]}")
        gone = [name for name in names if not any(name in path for path in placed | trashed)]
        if gone:
            raise Broken(f"removed for good before its time: {gone[:3]}")
        return len(trashed)

    def _files(self, folder: str, *, is_in: bool) -> set[str]:
        files = (
            path
            for storage_class in ("hot", "cold")
            for path in (self.store.folder / storage_class).rglob("*")
            if path.is_file() and (folder in path.parts) is is_in
        )
        return {path.name if is_in else "".join(path.parts[-3:]) for path in files}


@contextmanager
def _scene(
    run: Run, store: Store, clocks: Sequence[HostClock], *, may_expire: bool
) -> Iterator[_Scene]:
    """Two servers and a collector for each clock, or both on the only one."""
    config = write_config(store.folder / "torture.toml", config_of(store, **_CONFIG))
    with ExitStack() as stack:
        nurseries: dict[int, Nursery] = {}
        for clock in clocks:
            if id(clock) not in nurseries:
                folder = store.folder / f"machine{len(nurseries)}"
                folder.mkdir()
                nurseries[id(clock)] = stack.enter_context(Nursery(folder, clock.environment))
        hosts = [
            _Host(Service(nursery, config, store.folder / "torture.log"), config, nursery)
            for nursery in (nurseries[id(clock)] for clock in clocks)
        ]
        for host in hosts:
            host.start()
        pool = contents(run.chance, _CONTENTS)
        ports = [host.service.port for host in hosts]
        crowd = [
            Client(f"c{n}", ports, pool, random.Random(run.chance.random()), may_expire)
            for n in range(_CLIENTS)
        ]
        yield _Scene(store, hosts, crowd)
        for client in crowd:
            run.counts.update(client.counts)
            run.counts["objects in the journals"] += len(client.journal.entries)
        for host in hosts:
            host.service.stop()


def _audit(scene: _Scene) -> None:
    """Everything acknowledged is there, and nothing else once all is old."""
    for client in scene.crowd:
        client.check_all()
    settle(scene.store)
    for client in scene.crowd:
        client.check_all()


def _while(until: Callable[[], bool]) -> Iterator[int]:
    """A few times at least: to start all this may have taken the time."""
    yield from takewhile(lambda number: number < _JUMPS_MIN or not until(), count())


# -- the parts ------------------------------------------------------------------------------------


def _hosts(run: Run, folder: Path, until: Callable[[], bool]) -> None:
    clocks = [HostClock(folder / f"clock{n}") for n in range(2)]
    with (
        opened_store("postgres", folder / "store") as store,
        _scene(run, store, clocks, may_expire=False) as scene,
    ):
        scene.rest(run.chance)
        with working(scene.crowd):
            for _ in _while(until):
                clock = run.chance.choice(clocks)
                clock.set(run.chance.choice((-_HOUR_S, -600, 0, 600, _HOUR_S)))
                run.counts["jumps of a host's clock"] += 1
                run.tell("hosts")
                time.sleep(_EVERY_S)
        scene.finish_resting()
        run.counts["uploads that rested through jumps of their hosts"] += len(scene.resting)
        scene.stop_collecting()
        scene.check_files(may_be_trash=False)
        for clock in clocks:
            clock.set(0)
        _audit(scene)


def _database(run: Run, folder: Path, until: Callable[[], bool]) -> None:
    with _readable_folder() as shared:
        clock = ServerClock(shared / "clock")
        right = HostClock(folder / "right")
        with ExitStack() as stack:
            with clock.inherited():
                server = stack.enter_context(own_server())
            of = PostgresServer(server.url(), "own", server)
            number = 0
            while number == 0 or not until():
                number += 1
                clock.set(0)
                here = folder / f"store{number}"
                (here / "data").mkdir(parents=True)
                with made_database(of) as url:
                    migrate(url)
                    store = Store("postgres", here, url)
                    _step_back_and_forward(run, store, clock, right)


def _step_back_and_forward(run: Run, store: Store, clock: ServerClock, right: HostClock) -> None:
    with _scene(run, store, [right, right], may_expire=True) as scene:
        scene.rest(run.chance)
        with working(scene.crowd):
            time.sleep(_SPELL_S)
            _step(store, clock, -600)
            time.sleep(_SPELL_S)
            scene.finish_resting()
            scene.check_files(may_be_trash=False)
            expired = [what for each in scene.crowd for what in each.counts if "expired" in what]
            if expired:
                raise Broken(f"before their time: {expired}")
            run.counts["steps back of the database by ten minutes"] += 1
            _step(store, clock, _DAY_S)
            time.sleep(_SPELL_S)
        run.counts["steps forward of the database by a day"] += 1
        scene.stop_collecting()
        run.counts[f"{_EARLY} database"] += scene.check_files(may_be_trash=True)
        run.tell("database")
        _audit(scene)


def _step(store: Store, clock: ServerClock, offset_s: int) -> None:
    """Set PostgreSQL's clock, and see that it says so itself."""
    clock.set(offset_s)
    earliest = time.time() + offset_s - _SLACK_S
    told = store.now()
    if not earliest < told < time.time() + offset_s + _SLACK_S:
        raise Broken(f"the database's clock was set to {offset_s:+d} s, and is at {told}")


def _machine(run: Run, folder: Path, until: Callable[[], bool]) -> None:
    clock = HostClock(folder / "clock")
    with (
        opened_store("sqlite", folder / "store") as store,
        _scene(run, store, [clock, clock], may_expire=True) as scene,
    ):
        run.counts["credentials tried by a clock that is wrong"] += check_credentials(
            scene.hosts[0].service, clock
        )
        with working(scene.crowd):
            for _ in _while(until):
                clock.set(run.chance.choice((-_HOUR_S, -600, 0, 600, _HOUR_S, _DAY_S)))
                run.counts["jumps of the machine's clock"] += 1
                run.tell("machine")
                time.sleep(_EVERY_S)
        scene.stop_collecting()
        run.counts[f"{_EARLY} machine"] += scene.check_files(may_be_trash=True)
        for client in scene.crowd:
            client.check_all()
        words = ["gc", "run", "--grace-s", "0", "--config", str(scene.hosts[0].config)]
        # What was collected ahead of time is purged when that time has come.
        for days in (30, 60):
            clock.set(days * _DAY_S)
            if scene.hosts[0].nursery.run(words, scene.hosts[0].service.log):
                raise Broken(f"gc run failed: {scene.hosts[0].service.logged()}")
        clock.set(0)
        _audit(scene)


# -- all of it ------------------------------------------------------------------------------------

_PARTS = {
    "hosts": (_hosts, "jumps of a host's clock", JUMPS),
    "database": (_database, "steps forward of the database by a day", STEPS_OF_THE_DATABASE),
    "machine": (_machine, "jumps of the machine's clock", JUMPS),
}
"""Each, what it counts, and how often a complete pass does that."""

_ON = {"hosts": "postgres", "database": "postgres", "machine": "sqlite"}


def run(run: Run) -> Counts:
    """Each part for its share of the time, or so often as a complete pass has to."""
    parts = [name for name in _PARTS if _ON[name] in run.stores]
    named = run.each(parts, str) if run.is_complete else iter(parts)
    for place, name in enumerate(named):
        part, what, most = _PARTS[name]
        until_left_s = run.until_left_s(place, len(parts))

        def is_over(what: str = what, most: int = most, until_left_s: float = until_left_s) -> bool:
            enough = run.is_complete and run.counts[what] >= most
            return enough or run.left_s <= until_left_s

        folder = run.folder / name
        folder.mkdir()
        part(run, folder, is_over)
        early = f"{_EARLY} {name}"
        if run.is_complete and not run.is_stopped and name != "hosts" and not run.counts[early]:
            raise Broken(f"no {early}: nobody saw that it was a day ahead")
    return run.counts


@contextmanager
def _readable_folder() -> Iterator[Path]:
    """One that the database server's user can look into."""
    with tempfile.TemporaryDirectory(prefix="juststorage-clock-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
