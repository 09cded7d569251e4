"""How a walk talks to the service, how it begins, and what must be true at its end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from email.message import Message
from typing import Any, ClassVar
from urllib.parse import quote

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant

from tests.torture.acts import JSON
from tests.torture.experiment import Counts, Rig
from tests.torture.journal import Answer, Broken
from tests.torture.model.state import Model, Thing, etag_of

__all__ = [
    "CLASSES",
    "CONDITIONS",
    "CONTENTS",
    "KEYS",
    "TYPES",
    "Walker",
    "things",
    "turns",
]


class _Content(bytes):
    """A content that a failing walk can be printed with."""

    def __repr__(self) -> str:
        return f"{bytes(self[:1])} * {len(self)}"


CONTENTS = st.sampled_from(
    [_Content(each) for each in (b"", b"a", b"b" * 5000, b"c" * 70_000, b"d" * 300_000)]
)
KEYS = st.sampled_from(["k", "k/l", "ü", "k k", "%2e"])
CLASSES = st.sampled_from(["hot", "cold"])
TYPES = st.sampled_from(["text/plain", "application/octet-stream"])
CONDITIONS = st.tuples(
    st.sampled_from(["If-Match", "If-None-Match"]), st.sampled_from(["own", "other", "*"])
)
"""Field, and whether it names what is there, something else, or anything."""

things: Bundle[str] = Bundle("things")
"""Ids of objects that are there, or were."""

turns: Bundle[str] = Bundle("turns")
"""Paths of uploads in turns."""


class Walker(RuleBasedStateMachine):
    """What all rules need."""

    rig: ClassVar[Rig]
    counts: ClassVar[Counts]
    numbers: ClassVar[Iterator[int]]

    def settle(self) -> None:
        """Let all leases end, collect, and audit the store."""
        raise NotImplementedError

    @initialize()
    def begin(self) -> None:
        """A namespace of its own, in a store in which nothing is."""
        child = self.rig.service.child
        if child is None or not child.is_running:  # a walk that failed has left it like that
            self.rig.service.start()
        self.namespace = f"n{next(self.numbers)}"
        self.model = Model()
        self.deaths = self.commands = 0
        self.is_broken = False
        self.counts["walks"] += 1

    # -- requests -------------------------------------------------------------------------------

    def exchange(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[Answer, Message]:
        """A request to a server that runs, and the answer with its header."""
        self.counts["steps"] += 1
        exchanged = self.rig.service.exchange(method, target, body, headers=headers)
        if exchanged is None:
            self.is_broken = True
            raise Broken(f"no answer from a server that runs: {self.rig.logged()}")
        return exchanged

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """The same, without the header."""
        return self.exchange(method, target, body, headers)[0]

    def post(self, target: str, document: Any) -> Answer:
        """POST a document."""
        return self.ask("POST", target, json.dumps(document).encode(), JSON)

    def by_id(self, name: str) -> str:
        """The path of an object."""
        return f"/v1/objects/{name}?tenant_id=t"

    def by_key(self, key: str) -> str:
        """The path of a key."""
        return f"/v1/objects/by-key/{self.namespace}/t/{quote(key, safe='/')}"

    def placed(self, **parameters: str | None) -> str:
        """The query that says where an object is to be."""
        given = {"tenant_id": "t", "namespace": self.namespace, **parameters}
        return "&".join(f"{k}={quote(v, safe='')}" for k, v in given.items() if v is not None)

    # -- what is right --------------------------------------------------------------------------

    def expect(self, holds: bool, otherwise: str) -> None:
        """It is so.

        Raises:
            Broken: It is not.
        """
        if not holds:
            self.is_broken = True
            raise Broken(otherwise)

    def expect_status(self, what: str, answer: Answer, expected: int) -> None:
        """It answers that."""
        status, body = answer
        self.expect(status == expected, f"{what} answers {status}, not {expected}: {body[:300]!r}")

    def add(self, document: bytes, thing: Thing) -> str:
        """An object was stored; the document says all of it as it is."""
        told = json.loads(document)
        self.expect(self.is_described(told, thing), f"{thing} is told as {told}")
        name: str = told["id"]
        self.model.add(name, thing)
        return name

    def is_described(self, told: Mapping[str, Any], thing: Thing) -> bool:
        """Whether a document says of the object what is true."""
        true = {
            "namespace": self.namespace,
            "tenant_id": "t",
            "key": thing.key,
            "status": "COMMITTED",
            "storage_class": thing.storage_class,
            "content_hash": etag_of(thing.data).strip('"'),
            "size_bytes": len(thing.data),
            "content_type": thing.content_type,
            "metadata": thing.metadata,
        }
        return true.items() <= told.items()

    def header(self, condition: tuple[str, str] | None, current: str | None) -> dict[str, str]:
        """A drawn condition as a header field, about what is there now."""
        if condition is None:
            return {}
        field, which = condition
        values = {"own": current or etag_of(b"nothing"), "other": etag_of(b"other"), "*": "*"}
        return {field: values[which]}

    # -- the end --------------------------------------------------------------------------------

    @invariant()
    def it_runs(self) -> None:
        """Nothing that a client does ends a server."""
        child = self.rig.service.child
        self.expect(child is not None and child.is_running, "the server has ended by itself")

    def teardown(self) -> None:
        """After all leases and collections nothing is wrong, lost or left over."""
        if not hasattr(self, "model"):
            return
        if not self.is_broken:
            self.settle()
            for name, thing in self.model.things.items():
                answer = self.ask("GET", self.by_id(name))
                self.expect_status(f"{name} at the end", answer, 200 if thing.is_there else 404)
                self.expect(answer[0] == 404 or answer[1] == thing.data, f"{name}: other bytes")
        self._clear()

    def _clear(self) -> None:
        """Leave nothing for the next walk: it has to know what a collection finds."""
        if self.is_broken:
            self.rig.points.disarm()
            self.rig.service.kill()
            self.rig.service.start()
        body = {"tenant_id": "t", "ids": [name for name, _ in self.listed()]}
        self.post("/v1/objects/delete", body)
        self.rig.store.expire_leases()
        for _ in range(2):
            self.post("/v1/admin/gc", {"grace_seconds": 0})

    def listed(self) -> list[tuple[str, str | None]]:
        """Id and key of all that is there."""
        answer = self.ask("GET", f"/v1/objects?{self.placed(limit='1000')}")
        self.expect_status("a listing", answer, 200)
        return [(each["id"], each["key"]) for each in json.loads(answer[1])["objects"]]
