"""Histories: many clients on few keys, through two servers, each answer noted with its time.

For each key there has to be an order in which its requests, each at one instant between question
and answer, would have been answered like that: `linear.py`. Requests without an answer, because
their client went away or their server was killed, may have happened at any time since, or never.

The state of a key is the entity tag of what is under it, or None.
"""

from __future__ import annotations

import http.client
import math
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from itertools import count, takewhile

from tests.torture.acts import JSON
from tests.torture.auditor import auditing
from tests.torture.experiment import Counts, Run
from tests.torture.journal import Answer, Broken
from tests.torture.linear import Operation, is_linearizable, shortest_failing
from tests.torture.members import Service
from tests.torture.model.state import etag_of, holds
from tests.torture.nursery import Nursery
from tests.torture.service import API_KEY, STORES, Store, config_of, opened_store, write_config

__all__ = ["Asked", "KeyClient", "judge", "operation", "run"]

HISTORIES = 1000
"""Of a complete pass, on all stores together."""

_CLIENTS, _KEYS, _REQUESTS = 16, 5, 15
"""Of a round; a key's history has about 48 requests. Longer ones say no more, and take longer."""

_SERVERS = 2
_SIZES = (1, 4000, 70_000)
_KILLED_EVERY = 4
"""In each so many rounds a server is killed."""

_VANISHING = 0.04
"""Of the requests, those whose client does not wait for the answer."""

Op = Operation[str | None]


@dataclass(frozen=True)
class Asked:
    """A request to a key.

    Args:
        method: PUT, POST, GET or DELETE.
        condition: Field and value.
        tag: Of the content that is sent.
    """

    method: str
    condition: tuple[str, str] | None = None
    tag: str | None = None


def operation(
    asked: Asked, called: float, returned: float, status: int | None, read: str | None
) -> Op:
    """What was asked and answered, as one operation.

    Args:
        asked: The request.
        called: When it was sent.
        returned: When it was answered.
        status: The answer's; None for none.
        read: The tag of what was read.
    """

    def after(state: str | None) -> Sequence[str | None]:
        answer, left = _answer(asked, state)
        if status is None:
            return (left,)
        fits = answer == status and (asked.method != "GET" or answer != 200 or read == state)
        return (left,) if fits else ()

    shown = "" if read is None or asked.method != "GET" else f" {read[8:16]}"
    condition = "" if asked.condition is None else " {}: {:.17}".format(*asked.condition)
    sent = "" if asked.tag is None else f" {asked.tag[8:16]}"
    what = f"{asked.method}{sent}{condition} -> {status}{shown}"
    return Operation(called, returned, after, what)


def _answer(asked: Asked, state: str | None) -> tuple[int, str | None]:
    """The right status where the request meets this state, and the state that it leaves."""
    if asked.method == "POST":
        return (201, asked.tag) if state is None else (409, state)
    if asked.method == "GET":
        if state is None:
            return 404, state
        refused = 304 if asked.condition and asked.condition[0] == "If-None-Match" else 412
        return 200 if holds(asked.condition, state) else refused, state
    if not holds(asked.condition, state):
        return 412, state
    if asked.method == "PUT":
        return 201 if state is None else 200, asked.tag
    return (404, state) if state is None else (204, None)


# -- clients --------------------------------------------------------------------------------------


@dataclass
class KeyClient:
    """One that asks in turn, and notes.

    Args:
        ports: Servers that it may talk to.
        path: Of a key, by its number.
        posting: To where a POST to that key goes.
        chance: Its own, for repeatable choices.
    """

    ports: Sequence[int]
    path: Callable[[int], str]
    posting: Callable[[int], str]
    chance: random.Random
    noted: list[tuple[int, Op]] = field(default_factory=list)
    counts: Counts = field(default_factory=Counter)
    problem: BaseException | None = None
    tags: list[str] = field(default_factory=lambda: [etag_of(b"never")])
    """Seen, in their order."""

    vanishing: float = _VANISHING
    """Of the requests, those whose answer it does not wait for."""

    def run(self) -> None:
        """Ask any key anything, so often as a round has requests."""
        try:
            for _ in range(_REQUESTS):
                self._ask(self.chance.randrange(_KEYS))
        except BaseException as error:  # noqa: BLE001  told by the main thread
            self.problem = error

    def _ask(self, key: int) -> None:
        chance = self.chance
        method = chance.choices(("PUT", "GET", "DELETE", "POST"), (40, 35, 20, 5))[0]
        data = self._content() if method in {"PUT", "POST"} else None
        condition = None
        if method != "POST" and chance.random() < 0.4:
            value = chance.choice([*self.tags[-2:], "*"])
            condition = (chance.choice(("If-Match", "If-None-Match")), value)
        asked = Asked(method, condition, None if data is None else etag_of(data))
        self.note(key, asked, data)

    def _content(self) -> bytes:
        """Most often new; now and then one of two that others store as well."""
        if self.chance.random() < 0.2:
            return self.chance.choice((b"one", b"two"))
        return self.chance.randbytes(8) * self.chance.choice(_SIZES)

    def note(self, key: int, asked: Asked, data: bytes | None) -> int | None:
        """Ask, and note the answer; its status, or None where the outcome is open."""
        target = self.posting(key) if asked.method == "POST" else self.path(key)
        headers = {} if asked.condition is None else dict([asked.condition])
        vanishes = self.chance.random() < self.vanishing
        connection = self._connection()
        called = time.monotonic()
        exchanged = _exchange(connection, asked.method, target, data, headers, vanishes=vanishes)
        returned = time.monotonic()
        self.counts["requests"] += 1
        if exchanged is None or exchanged[0][0] == 503:
            why = "client vanished" if vanishes else "outcome is open"
            self.counts[f"requests whose {why}"] += 1
            self._note(key, operation(asked, called, math.inf, None, None))
            return None
        (status, body), told = exchanged
        if asked.method == "POST" and status == 409:
            # Somebody holds the key, or uploads to it: nothing has happened.
            return status
        self._judge(asked, status, body, told["ETag"])
        self._note(key, operation(asked, called, returned, status, told["ETag"]))
        return status

    def _connection(self) -> http.client.HTTPConnection:
        """To one of the servers that are there."""
        while True:
            port = self.chance.choice(self.ports)
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.connect()
            except OSError:
                time.sleep(0.02)
            else:
                return connection

    def _judge(self, asked: Asked, status: int, body: bytes, tag: str | None) -> None:
        expected = {"PUT": {200, 201, 412}, "POST": {201}, "DELETE": {204, 404, 412}}
        if status not in expected.get(asked.method, {200, 304, 404, 412}):
            raise Broken(f"{asked} is answered {status}: {body[:300]!r}")
        if tag is not None:
            self.tags.append(tag)
            if asked.method == "GET" and status == 200 and etag_of(body) != tag:
                raise Broken(f"{len(body)} bytes were read that are not those of {tag}")

    def _note(self, key: int, noted: Op) -> None:
        self.noted.append((key, noted))


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    target: str,
    data: bytes | None,
    headers: dict[str, str],
    *,
    vanishes: bool,
) -> tuple[Answer, Message] | None:
    """Answer and header; None where there was none, or nobody waits for it."""
    try:
        connection.request(method, target, data, {"X-API-Key": API_KEY, **headers})
        if vanishes:
            return None
        answer = connection.getresponse()
        return (answer.status, answer.read()), answer.headers
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


# -- rounds ---------------------------------------------------------------------------------------


@contextmanager
def _servers(run: Run, store: Store) -> Iterator[list[Service]]:
    with Nursery(store.folder) as nursery:
        config = write_config(store.folder / "torture.toml", config_of(store))
        log = store.folder / "torture.log"
        services = [Service(nursery, config, log) for _ in range(_SERVERS)]
        for service in services:
            service.start()
        yield services
        for service in services:
            service.stop()


def run(run: Run) -> Counts:
    """Rounds on each store for its share of the time, or so many as a complete pass has."""
    for place, kind in enumerate(run.stores):
        until_left_s = run.until_left_s(place)
        folder = run.folder / kind
        with (
            opened_store(kind, folder) as store,
            _servers(run, store) as services,
            auditing(store) as settle,
        ):
            for number in _rounds(run, kind, until_left_s):
                chance = random.Random(f"{run.seed} {kind} {number}")
                is_deadly = number % _KILLED_EVERY == 0
                _round(run, services, f"n{number}", chance, is_deadly=is_deadly)
                run.counts[f"histories on {kind}"] += _KEYS
            settle()
    return run.counts


def _rounds(run: Run, kind: str, until_left_s: float) -> Iterator[int]:
    if run.is_complete:
        rounds = range(HISTORIES // len(STORES) // _KEYS)
        yield from run.each(rounds, lambda number: f"round {number} of histories on {kind}")
    else:
        # One at least: to start all this may have taken the time.
        yield from takewhile(lambda number: not number or run.left_s > until_left_s, count())


def _round(
    run: Run, services: list[Service], namespace: str, chance: random.Random, *, is_deadly: bool
) -> None:
    def path(key: int) -> str:
        return f"/v1/objects/by-key/{namespace}/t/k{key}"

    def posting(key: int) -> str:
        return f"/v1/objects?tenant_id=t&namespace={namespace}&key=k{key}"

    ports = [service.port for service in services]
    crowd = [
        KeyClient(ports, path, posting, random.Random(chance.random())) for _ in range(_CLIENTS)
    ]
    threads = [threading.Thread(target=client.run) for client in crowd]
    for thread in threads:
        thread.start()
    services[0].call("POST", "/v1/admin/gc", b'{"grace_seconds": 0}', headers=JSON)
    if is_deadly:
        time.sleep(chance.uniform(0, 0.5))
        victim = chance.choice(services)
        if victim.kill() != -9:
            raise Broken(f"a server ended by itself: {victim.logged()}")
        victim.start()
        run.counts["SIGKILLs"] += 1
    for thread in threads:
        thread.join()
    for client in crowd:
        if client.problem is not None:
            raise client.problem
        run.counts.update(client.counts)
    last = KeyClient(ports, path, posting, chance)
    for key in range(_KEYS):
        last.note(key, Asked("GET"), None)
    judge(run.counts, [last, *crowd], _KEYS, namespace)


def judge(counts: Counts, clients: Sequence[KeyClient], keys: int, namespace: str) -> None:
    """See whether the answers of each key have an order.

    Args:
        counts: What was judged is counted here.
        clients: All that asked any of the keys.
        keys: How many there are; at first nothing is under them.
        namespace: Where they are, for people.

    Raises:
        Broken: They have none.
    """
    for key in range(keys):
        history = [noted for client in clients for where, noted in client.noted if where == key]
        counts["operations in histories"] += len(history)
        if is_linearizable(history, None):
            continue
        failing = shortest_failing(history, None)
        began = failing[0].called
        shown = "\n".join(
            f"{each.called - began:9.6f} to {each.returned - began:9.6f}  {each.what}"
            for each in failing
        )
        raise Broken(f"the history of key k{key} in {namespace} has no order:\n{shown}")
