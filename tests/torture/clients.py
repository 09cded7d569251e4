"""Clients that never rest: each in a thread of its own, with a journal of its own."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message

from tests.torture.journal import Answer, Broken, Entry, Journal
from tests.torture.service import call, exchange
from tests.torture.turns import Turns

__all__ = ["TENANTS", "Client", "contents", "working"]

TENANTS = ("t", "u")
"""Of clients who share servers and contents, and nothing else."""

PATIENCE_S = 60.0
_TRESPASSES = 0.2
"""So many of the reads are also tried, or deleted, for the other tenant."""

_KEPT_MAX = 60
"""Beyond this many living objects a client deletes rather than uploads."""


_SIZES = (0, 1, 100, 4096, 65_536, 65_537, 300_000)


def contents(chance: random.Random, count: int, sizes: Sequence[int] = _SIZES) -> list[bytes]:
    """Few distinct contents, so that uploads meet each other's: small ones, and some streamed."""
    return [b"%d-" % n + chance.randbytes(sizes[n % len(sizes)]) for n in range(count)]


@dataclass
class Client:
    """One client. Only it touches its objects.

    Args:
        name: Names its keys and its objects' namespace.
        ports: Servers that it may talk to.
        pool: The contents that all clients choose from.
        chance: Its own, for repeatable choices.
        may_expire: Whether an upload may be told that it has expired: the database may crash and
            forget a reservation, which nobody was promised.
        in_turns: Whether it uploads in turns as well, which a bucket does not take.
        tenant: Whose objects it stores.
    """

    name: str
    ports: Sequence[int]
    pool: Sequence[bytes]
    chance: random.Random
    may_expire: bool = False
    in_turns: bool = True
    tenant: str = TENANTS[0]
    journal: Journal = field(default_factory=Journal)
    counts: Counter[str] = field(default_factory=Counter)
    problem: BaseException | None = None

    def run(self, over: threading.Event) -> None:
        """Upload, replace, delete and read until `over`."""
        try:
            while not over.is_set():
                self._act()
        except BaseException as error:  # noqa: BLE001  told by the main thread
            self.problem = error

    def check_all(self) -> None:
        """Everything that was acknowledged, once more. The servers are expected to be well."""
        self.journal.check(
            lambda object_id: self._ask(self._target(object_id)),
            lambda key: self._ask(self._by_key(key)),
            self._class_of,
        )

    # -- acts ---------------------------------------------------------------------------------

    def _act(self) -> None:
        living = self.journal.living
        dice = self.chance.random()
        if not living or (dice < 0.40 and len(living) < _KEPT_MAX):
            self._upload()
        elif dice < 0.50:
            self._replace()
        elif dice < 0.72:
            self._delete(self.chance.choice(living))
        elif dice < 0.76 and len(living) < _KEPT_MAX and self.in_turns:
            self._upload_in_turns()
        elif dice < 0.80:
            self._move(self.chance.choice(living))
        else:
            self._read(self.chance.choice(self.journal.entries[-2 * _KEPT_MAX :]))

    def _upload(self) -> None:
        data = self.chance.choice(self.pool)
        answer = self._call(
            "POST", f"/v1/objects?namespace={self.name}&tenant_id={self.tenant}", data
        )
        if answer is not None and answer[0] == 201:
            self.journal.uploaded(answer[1], data)
        self._count("upload", answer, {201})

    def _upload_in_turns(self) -> None:
        """As far as it comes: nobody comes back to those that are left."""
        data = self.chance.choice(self.pool)
        query = f"namespace={self.name}&tenant_id={self.tenant}"
        turns = Turns(data, query, self._exchange, may_expire=self.may_expire)
        for _ in range(self.chance.randrange(1, 12)):
            answer = turns.step()
            if answer is not None and (answer[0] == 409 and b"upload_in_use" in answer[1]):
                # Who was killed amid a request may hold it a moment longer than the connection.
                time.sleep(0.01)
                continue
            self._count("turn", answer, {200, 201, 204})
            if answer is not None and answer[0] == 200:
                self.journal.uploaded(answer[1], data)
                return
            if answer is not None and answer[0] in {404, 409}:
                return

    def _replace(self) -> None:
        key = f"key-{self.chance.randrange(3)}"
        data = self.chance.choice(self.pool)
        self.journal.replacing(key, data)
        answer = self._call("PUT", self._by_key(key), data)
        if answer is not None and answer[0] in {200, 201}:
            self.journal.replaced(answer[1], data, key)
        self._count("replace", answer, {200, 201})

    def _delete(self, entry: Entry) -> None:
        entry.deleted = None
        answer = self._call("DELETE", self._target(entry.id))
        if answer is not None and answer[0] == 204:
            entry.deleted = True
        elif answer is not None and answer[0] == 404:
            raise Broken(f"{entry.id} was acknowledged, and deleting it answers 404")
        self._count("delete", answer, {204})

    def _move(self, entry: Entry) -> None:
        wanted = self.chance.choice(("hot", "cold"))
        entry.storage_class = None
        answer = self._call(
            "PATCH",
            self._target(entry.id),
            b'{"storage_class": "%s"}' % wanted.encode(),
            **{"Content-Type": "application/merge-patch+json"},
        )
        if answer is not None and answer[0] == 200:
            entry.storage_class = wanted
        self._count("move", answer, {200})

    def _read(self, entry: Entry) -> None:
        answer = self._ask(self._target(entry.id))
        self.journal.judge(entry, answer)
        self._count("read", answer, {200, 404})
        if self.chance.random() < _TRESPASSES:
            self._trespass(entry)

    def _trespass(self, entry: Entry) -> None:
        """For the other tenant nothing is there; that nothing was deleted later reads tell."""
        [other] = set(TENANTS) - {self.tenant}
        method = self.chance.choice(["GET", "DELETE"])
        answer = self._call(method, self._target(entry.id, other))
        if answer is not None and answer[0] not in {404, 503}:
            raise Broken(f"{method} of another tenant's {entry.id} answers {answer[0]}")
        told = "none told" if answer is None or answer[0] == 503 else "told 404"
        self.counts[f"requests for another tenant's object, {told}"] += 1

    # -- how ----------------------------------------------------------------------------------

    def _ask(self, target: str) -> Answer:
        """Read it, patiently."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            answer = self._call("GET", target)
            if answer is not None and answer[0] != 503:
                return answer
            if time.monotonic() > deadline:
                raise Broken(f"no server answers for {PATIENCE_S:g} s: {answer}")
            time.sleep(0.02)

    def _class_of(self, object_id: str) -> str:
        answer = self._ask(f"/v1/objects/{object_id}/metadata?tenant_id={self.tenant}")
        if answer[0] != 200:
            raise Broken(f"the metadata of {object_id} are answered {answer}")
        return str(json.loads(answer[1])["storage_class"])

    def _target(self, object_id: str, tenant: str = "") -> str:
        return f"/v1/objects/{object_id}?tenant_id={tenant or self.tenant}"

    def _by_key(self, key: str) -> str:
        return f"/v1/objects/by-key/{self.name}/{self.tenant}/{key}"

    def _call(
        self, method: str, target: str, body: bytes | None = None, **headers: str
    ) -> Answer | None:
        return call(self.chance.choice(self.ports), method, target, body, headers=headers)

    def _exchange(
        self, method: str, target: str, body: bytes | None = None, *, headers: Mapping[str, str]
    ) -> tuple[Answer, Message] | None:
        port = self.chance.choice(self.ports)
        return exchange(port, method, target, body, headers=headers)

    def _count(self, what: str, answer: Answer | None, good: set[int]) -> None:
        if answer is None:
            self.counts[f"{what}s without an answer"] += 1
            time.sleep(0.01)  # whoever refuses connections does so at once
        elif answer[0] in good:
            self.counts[f"{what}s"] += 1
        elif answer[0] == 503:
            self.counts[f"{what}s answered 503"] += 1
        elif self.may_expire and answer[0] == 409 and b"upload_expired" in answer[1]:
            self.counts[f"{what}s told that they have expired"] += 1
        elif self.may_expire and what == "turn" and answer[0] == 404:
            self.counts["turns told that their upload has expired"] += 1
        else:
            raise Broken(f"{what} answers {answer[0]}: {answer[1][:300]!r}")


@contextmanager
def beside(works: Sequence[Callable[[threading.Event], None]]) -> Iterator[None]:
    """Do each in a thread beside the block; they are told by the event that it is over."""
    over = threading.Event()
    threads = [threading.Thread(target=work, args=(over,)) for work in works]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


@contextmanager
def working(clients: Sequence[Client]) -> Iterator[None]:
    """Let them work beside the block, and raise what one of them found."""
    with beside([client.run for client in clients]):
        yield
    for client in clients:
        if client.problem is not None:
            raise client.problem
