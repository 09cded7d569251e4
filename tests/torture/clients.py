"""Clients with a journal: what was sent, what was acknowledged, and what must be true for ever."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Broken", "Client", "Entry", "contents"]


class Broken(AssertionError):
    """A promise was broken."""


@dataclass
class Entry:
    """One object in a client's journal."""

    id: str
    data: bytes
    key: str | None = None
    deleted: bool | None = False
    """None once a delete or a replacement was sent and its answer was lost: either is right."""


def contents(chance: random.Random, count: int) -> list[bytes]:
    """Few distinct contents, so that uploads meet each other's: small ones, and some streamed."""
    sizes = [0, 1, 100, 4096, 65_536, 65_537, 300_000]
    return [b"%d-" % n + chance.randbytes(sizes[n % len(sizes)]) for n in range(count)]


@dataclass
class Client:
    """One client in a thread of its own. Only it touches its objects.

    Args:
        name: Names its keys and its objects' namespace.
        ports: Servers that it may talk to.
        key: An API key.
        pool: The contents that all clients choose from.
        chance: Its own, for repeatable choices.
    """

    name: str
    ports: Sequence[int]
    key: str
    pool: Sequence[bytes]
    chance: random.Random
    journal: list[Entry] = field(default_factory=list)
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
        for entry in self.journal:
            self._read(entry, patient=True)

    # -- acts ---------------------------------------------------------------------------------

    def _act(self) -> None:
        living = [entry for entry in self.journal if entry.deleted is False]
        dice = self.chance.random()
        if dice < 0.40 or not living:
            self._upload()
        elif dice < 0.50:
            self._replace()
        elif dice < 0.75:
            self._delete(self.chance.choice(living))
        else:
            self._read(self.chance.choice(self.journal), patient=True)

    def _upload(self) -> None:
        data = self.chance.choice(self.pool)
        answer = self._call("POST", f"/v1/objects?namespace={self.name}&tenant_id=t", data)
        if answer is not None and answer[0] == 201:
            self._remember(answer[1], data, None)
        self._count("upload", answer, {201})

    def _replace(self) -> None:
        key = f"key-{self.chance.randrange(3)}"
        data = self.chance.choice(self.pool)
        answer = self._call("PUT", f"/v1/objects/by-key/{self.name}/t/{key}", data)
        done = answer is not None and answer[0] in {200, 201}
        for entry in self.journal:
            if entry.key == key and entry.deleted is not True:
                # Without an answer nobody knows which of the two holds the key.
                entry.deleted = True if done else None
        if done:
            assert answer is not None
            self._remember(answer[1], data, key)
        self._count("replace", answer, {200, 201})

    def _delete(self, entry: Entry) -> None:
        entry.deleted = None
        answer = self._call("DELETE", f"/v1/objects/{entry.id}?tenant_id=t")
        if answer is not None and answer[0] == 204:
            entry.deleted = True
        elif answer is not None and answer[0] == 404:
            raise Broken(f"{entry.id} was acknowledged, and deleting it answers 404")
        self._count("delete", answer, {204})

    def _read(self, entry: Entry, *, patient: bool) -> None:
        deadline = time.monotonic() + (60 if patient else 0)
        answer = self._call("GET", f"/v1/objects/{entry.id}?tenant_id=t")
        while (answer is None or answer[0] == 503) and time.monotonic() < deadline:
            time.sleep(0.05)
            answer = self._call("GET", f"/v1/objects/{entry.id}?tenant_id=t")
        if answer is None:
            raise Broken("no server answers")
        status, body = answer
        if status == 200 and body != entry.data:
            raise Broken(f"{entry.id} reads back {len(body)} other bytes")
        if entry.deleted is False and status != 200:
            raise Broken(f"{entry.id} was acknowledged and answers {status}: {body[:300]!r}")
        if entry.deleted is True and status != 404:
            raise Broken(f"{entry.id} was deleted and answers {status}")
        if status not in {200, 404}:
            raise Broken(f"{entry.id} answers {status}: {body[:300]!r}")
        self._count("read", answer, {200, 404})

    # -- how ----------------------------------------------------------------------------------

    def _remember(self, document: bytes, data: bytes, key: str | None) -> None:
        answered = json.loads(document)
        digest = hashlib.sha256(data).hexdigest()
        if answered["content_hash"] != f"sha256:{digest}" or answered["size_bytes"] != len(data):
            raise Broken(f"an upload was answered with another hash: {answered}")
        self.journal.append(Entry(answered["id"], data, key))

    def _call(
        self, method: str, target: str, body: bytes | None = None
    ) -> tuple[int, bytes] | None:
        """Status and body, or None when the connection ended without a whole answer."""
        connection = http.client.HTTPConnection(
            "127.0.0.1", self.chance.choice(self.ports), timeout=60
        )
        try:
            connection.request(method, target, body, {"X-API-Key": self.key})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def _count(self, what: str, answer: tuple[int, bytes] | None, good: set[int]) -> None:
        if answer is None:
            self.counts[f"{what} without answer"] += 1
        elif answer[0] in good:
            self.counts[what] += 1
        elif answer[0] == 503:
            self.counts[f"{what} 503"] += 1
        else:
            raise Broken(f"{what} answers {answer[0]}: {answer[1][:300]!r}")
