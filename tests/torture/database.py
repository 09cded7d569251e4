"""The database: restarted, cut off, replaced by its standby, restored to an earlier time.

- PostgreSQL is stopped as by a crash and started again, over and over, under clients: nothing that
  was acknowledged is lost, nothing but 503 is answered, and it works again within 5 s.
- A proxy cuts a connection at a random answer, or request, of random acts, at a COMMIT, or after
  the one statement by which most uploads and single deletions commit, or after one that several
  uploads share: see `cuts.py`. Every outcome is told, or 503, and then looked up: committed or
  absent for good, never there twice. No transaction and no slot of the pool is left over.
- The proxy lets every answer take up to two seconds, while sixteen clients share a pool of four
  connections, which are all in use then, and lets all connections fall silent without a word: it
  works again in time.
- The synchronous standby is promoted while clients work: everything acknowledged is on it, and
  servers that are started on it work within 5 s.
- The database is restored to an earlier time: what it names is there again, from the trash.
"""

from __future__ import annotations

import itertools
import math
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from juststorage_postgres.testing import (
    LocalServer,
    PostgresServer,
    made_database,
    migrate,
    own_server,
    run_sql,
)
from tests.lost_database.proxy import Proxy
from tests.torture.acts import OBJECTS
from tests.torture.auditor import settle
from tests.torture.clients import TENANTS, Client, contents, working
from tests.torture.cuts import AT_COMMIT, AT_ONE_STATEMENT, OF_SEVERAL, cut, cut_several
from tests.torture.experiment import Counts, Rig, Run
from tests.torture.journal import Broken, Journal
from tests.torture.members import Service
from tests.torture.nursery import Nursery
from tests.torture.outcomes import Outcomes, nothing_hangs
from tests.torture.points import Points
from tests.torture.service import Store, config_of, write_config

__all__ = ["run"]

RECOVERED_S = 5.0
CUTS = {AT_COMMIT: 500, AT_ONE_STATEMENT: 200}
CUTS_OF_SEVERAL = {OF_SEVERAL: 100}
RESTARTS, RESTART_EVERY_S = 30, 10
SPELLS = 20
"""How much a complete pass does."""

_RECOVERY_MAX_S = 60.0
_IN_SYNC_MAX_S = 30.0
"""After these nobody waits any longer."""

_STATEMENT_TIMEOUT_S = 3
POOL_SIZE = 4
_POOL_GAUGES = ("juststorage_backend_connections_in_use", "juststorage_backend_waiting")
_EXHAUSTED = "spells in which all of the pool was in use, and requests waited"


def run(run: Run) -> Counts:
    """A share of the time for each part, or all of each."""
    parts = (_cuts, _shared, _restore, _failover, _bad_line, _restarts)
    whole_s = run.left_s
    for part in run.each(parts, lambda part: part.__name__) if run.is_complete else parts:
        if part is _failover:
            _failover(run, run.counts)
            continue
        if part is _bad_line and not run.is_complete and run.left_s < 25:
            continue
        with own_server() as server, made_database(_of(server)) as url:
            migrate(url)
            store = Store("postgres", _folder(run, part.__name__.strip("_")), url)
            if part in {_cuts, _shared}:
                share = 0.25 if part is _cuts else 0.05
                part(run, server, store, run.counts, whole_s * share)
            elif part is _bad_line:
                _bad_line(run, server, store, run.counts, whole_s * 0.15)
            else:
                part(run, server, store, run.counts)
    return run.counts


def _of(server: LocalServer) -> PostgresServer:
    return PostgresServer(server.url(), "own", server)


def _folder(run: Run, name: str) -> Path:
    folder = run.folder / name
    (folder / "data").mkdir(parents=True)
    return folder


@contextmanager
def _services(run: Run, store: Store, count: int, **options: object) -> Iterator[list[Service]]:
    """Servers on the store, and their nursery; they wait a while for a database that is away."""
    with Nursery(store.folder) as nursery:
        written = config_of(store, options={"connect_timeout_s": 1, **options})
        config = write_config(store.folder / "torture.toml", written)
        services = [Service(nursery, config, store.folder / "torture.log") for _ in range(count)]
        with run.not_counted():
            for service in services:
                service.start()
        yield services


def _crowd(run: Run, services: list[Service], clients: int) -> list[Client]:
    pool = contents(run.chance, 12)
    ports = [service.port for service in services]
    return [
        Client(
            f"c{n}",
            ports,
            pool,
            random.Random(run.chance.random()),
            may_expire=True,
            tenant=TENANTS[n % 2],
        )
        for n in range(clients)
    ]


# -- restarts -------------------------------------------------------------------------------------


def _restarts(run: Run, server: LocalServer, store: Store, counts: Counts) -> None:
    slowest_s = 0.0
    most = RESTARTS if run.is_complete else math.inf
    with _services(run, store, 2) as services:
        crowd = _crowd(run, services, 8)
        with working(crowd):
            while run.left_s > 4 and counts["restarts of the database"] < most:
                pause_s = RESTART_EVERY_S if run.is_complete else run.chance.uniform(0.5, 4)
                time.sleep(min(pause_s, max(0.0, run.left_s - 3)))
                server.stop("immediate")
                time.sleep(run.chance.uniform(0, 0.5))
                server.start()
                began = time.monotonic()
                slowest_s = max(slowest_s, *(_recovery_s(service, began) for service in services))
                counts["restarts of the database"] += 1
                run.tell("restarts")
                if any(client.problem for client in crowd):
                    break
        if slowest_s > RECOVERED_S:
            raise Broken(f"it took {slowest_s:.1f} s until it worked again")
        _end(store, services, crowd, counts)
    counts["milliseconds of the slowest recovery"] = int(slowest_s * 1000)


def _recovery_s(service: Service, began: float | None = None) -> float:
    """Seconds until an upload succeeds, from `began` on or from now.

    Raises:
        Broken: None does within a minute, or one is answered with neither success nor 503.
    """
    began = time.monotonic() if began is None else began
    while True:
        answer = service.call("POST", OBJECTS, b"is it well?", timeout=30)
        if answer is not None and answer[0] == 201:
            return time.monotonic() - began
        if answer is not None and answer[0] != 503:
            raise Broken(f"while the database comes back: {answer}")
        if time.monotonic() - began > _RECOVERY_MAX_S:
            raise Broken(f"it does not work again within {_RECOVERY_MAX_S:g} s: {answer}")
        time.sleep(0.02)


def _end(store: Store, services: list[Service], crowd: list[Client], counts: Counts) -> None:
    for service in services:
        service.wait_until_ready()
    for client in crowd:
        client.check_all()
        counts.update(client.counts)
    settle(store)
    for client in crowd:
        client.check_all()
    nothing_hangs(store)
    for service in services:
        service.stop()


# -- cuts -----------------------------------------------------------------------------------------


def _cuts(run: Run, server: LocalServer, store: Store, counts: Counts, seconds: float) -> None:
    with _line(run, server, store) as (outcomes, proxy):
        _cut_often(run, seconds, CUTS, partial(cut, run, outcomes, proxy), outcomes)


def _shared(run: Run, server: LocalServer, store: Store, counts: Counts, seconds: float) -> None:
    with _line(run, server, store) as (outcomes, proxy):
        once = partial(cut_several, run, outcomes, proxy)
        _cut_often(run, seconds, CUTS_OF_SEVERAL, once, outcomes)


@contextmanager
def _line(run: Run, server: LocalServer, store: Store) -> Iterator[tuple[Outcomes, Proxy]]:
    """One server whose line to the database can be cut; at the end nothing hangs on either side."""
    directory = store.folder / "p"
    directory.mkdir()
    with Proxy(directory, server.root / ".s.PGSQL.5432") as proxy:
        through = replace(store, url=store.url.replace(str(server.root), str(directory)))
        with _services(run, through, 1) as (service,):
            points = Points(store.folder / "points")
            made = Rig(store, service._nursery, points, service._config, service)
            yield Outcomes(made, run.counts), proxy
            nothing_hangs(store)
            service.stop()


def _cut_often(
    run: Run,
    seconds: float,
    most_of: Mapping[str, int],
    cut_once: Callable[[], None],
    outcomes: Outcomes,
) -> None:
    """Until so many of each kind were counted, or the time is over."""
    made, deadline = outcomes.made, time.monotonic() + seconds
    for number in itertools.count(1):
        if time.monotonic() > deadline or run.is_stopped:
            break
        if run.is_complete and all(run.counts[at] >= most for at, most in most_of.items()):
            break
        cut_once()
        run.tell("cuts")
        if number % 25 == 0:
            settle(made.store, journal=made.journal, service=made.service)
            outcomes.check()
            del made.journal.entries[:-60]
    settle(made.store, journal=made.journal, service=made.service)
    outcomes.check()


# -- a bad line -----------------------------------------------------------------------------------


def _bad_line(run: Run, server: LocalServer, store: Store, counts: Counts, seconds: float) -> None:
    directory = store.folder / "p"
    directory.mkdir()
    slowest_s = 0.0
    with Proxy(directory, server.root / ".s.PGSQL.5432") as proxy:
        through = replace(store, url=store.url.replace(str(server.root), str(directory)))
        timeouts = {
            "statement_timeout_s": _STATEMENT_TIMEOUT_S,
            "idle_in_transaction_timeout_s": _STATEMENT_TIMEOUT_S,
        }
        with _services(run, through, 1, pool_size=POOL_SIZE, **timeouts) as services:
            crowd = _crowd(run, services, 16)
            deadline = time.monotonic() + seconds
            with working(crowd):
                while time.monotonic() < deadline and not run.is_stopped:
                    if run.is_complete and counts["spells of slow answers"] >= SPELLS:
                        break
                    proxy.answers_after_s = run.chance.choice((0.05, 0.5, 2.0))
                    counts[_EXHAUSTED] += _is_exhausted_within(services[0], 4)
                    proxy.answers_after_s = 0
                    counts["spells of slow answers"] += 1
                    proxy.silence()
                    slowest_s = max(slowest_s, _recovery_s(services[0]))
                    counts["times all connections fell silent"] += 1
                    run.tell("a bad line")
                    if any(client.problem for client in crowd):
                        break
            if slowest_s > RECOVERED_S:
                raise Broken(f"it took {slowest_s:.1f} s until it worked on new connections")
            if run.is_complete and not run.is_stopped and not counts[_EXHAUSTED]:
                raise Broken("slow answers never took all connections of the pool")
            _end(store, services, crowd, counts)
    counts["milliseconds of the slowest recovery from silence"] = int(slowest_s * 1000)


def _is_exhausted_within(service: Service, seconds: float) -> bool:
    """Whether all connections are in use and requests wait, at any look; takes all of the time."""
    until, found = time.monotonic() + seconds, False
    while (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, 0.2))
        answer = service.call("GET", "/metrics", timeout=5)
        if answer is not None and answer[0] == 200:
            in_use, waiting = (_gauge(answer[1].decode(), name) for name in _POOL_GAUGES)
            found = found or (in_use >= POOL_SIZE and waiting > 0)
    return found


def _gauge(metrics: str, name: str) -> float:
    found = re.search(rf'^{name}{{backend="metadata"}} (\S+)$', metrics, re.MULTILINE)
    assert found is not None, metrics
    return float(found[1])


# -- another database -----------------------------------------------------------------------------


def _failover(run: Run, counts: Counts) -> None:
    with own_server() as primary, made_database(_of(primary)) as url:
        migrate(url)
        with own_server(replica_of=primary) as standby:
            run_sql(
                primary.url(),
                "ALTER SYSTEM SET synchronous_standby_names = '*'",
                "SELECT pg_reload_conf()",
            )
            store = Store("postgres", _folder(run, "failover"), url)
            _wait_in_sync(store)
            with _services(run, store, 2) as services:
                crowd = _crowd(run, services, 6)
                with working(crowd):
                    time.sleep(3)
                    primary.stop("immediate")
                    for service in services:
                        service.kill()
                    run_sql(standby.url(), "SELECT pg_promote()")
                    moved = replace(store, url=url.replace(str(primary.root), str(standby.root)))
                    written = config_of(moved, options={"connect_timeout_s": 1})
                    write_config(store.folder / "torture.toml", written)
                    began = time.monotonic()
                    for service in services:
                        service.start(wait=False)
                    for service in services:
                        _recovery_s(service)
                    took_s = time.monotonic() - began
                    time.sleep(1)
                if took_s > RECOVERED_S:
                    raise Broken(f"it took {took_s:.1f} s until it worked on the standby")
                _end(moved, services, crowd, counts)
    counts["failovers to a synchronous standby"] += 1
    counts["milliseconds of the slowest recovery after a failover"] = int(took_s * 1000)


def _wait_in_sync(store: Store) -> None:
    """Until the standby is one: whatever is committed before that may not be on it.

    Raises:
        Broken: It never is.
    """
    deadline = time.monotonic() + _IN_SYNC_MAX_S
    while not store.count("pg_stat_replication WHERE sync_state = 'sync'"):
        if time.monotonic() > deadline:
            raise Broken(f"the standby is not synchronous within {_IN_SYNC_MAX_S:g} s")
        time.sleep(0.02)


def _restore(run: Run, server: LocalServer, store: Store, counts: Counts) -> None:
    with _services(run, store, 1) as (service,):
        pool = contents(run.chance, 12)
        journal = Journal()

        def upload(data: bytes) -> None:
            answer = service.call("POST", OBJECTS, data)
            if answer is None or answer[0] != 201:
                raise Broken(f"an upload answers {answer}")
            journal.uploaded(answer[1], data)

        for data in pool:
            upload(data)
        service.stop()
        name = store.url.partition("?")[0].rpartition("/")[2]
        with made_database(_of(server), name) as earlier:
            service.start()
            for entry in journal.living[::2]:
                answer = service.call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
                if answer is None or answer[0] != 204:
                    raise Broken(f"a delete answers {answer}")
            for number in range(5):
                answer = service.call("POST", OBJECTS, b"later %d" % number)
                if answer is None or answer[0] != 201:
                    raise Broken(f"an upload answers {answer}")
            # The retention of the trash reaches back further than the backup.
            words = ["gc", "run", "--grace-s", "0", "--config"]
            kept = config_of(store, gc={"trash_retention_s": 3600})
            config = write_config(store.folder / "collecting.toml", kept)
            if service._nursery.run([*words, str(config)], service.log):
                raise Broken(f"gc run failed: {service.logged()}")
            if not any(path.is_file() for path in store.folder.rglob(".trash/**/*")):
                raise Broken("nothing was collected: there is nothing that an older state misses")
            service.stop()
            restored = replace(store, url=earlier)
            write_config(store.folder / "torture.toml", config_of(restored))
            service.start()
            journal.check(service.read)
            settle(restored, journal=journal, service=service)
            service.stop()
    counts["objects read after the database was restored"] += len(pool)
