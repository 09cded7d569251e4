"""Rules of whole objects that are stored, changed, copied and deleted."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import multiple, rule

from tests.torture.acts import PATCH
from tests.torture.model.state import ANSWERS_KEPT_S, Thing, etag_of, holds
from tests.torture.model.walker import CLASSES, CONDITIONS, CONTENTS, KEYS, TYPES, Walker, things

__all__ = ["Writing"]

_METADATA = st.dictionaries(st.sampled_from(["a", "b"]), st.sampled_from([1, "x"]), max_size=2)
_NOBODY = "01a21098-f290-7cc4-9518-d64de021c446"
"""An id that no object has."""


class Writing(Walker):
    """POST, PUT, PATCH, DELETE, copies, and deletions of many."""

    @rule(target=things, data=CONTENTS, key=st.none() | KEYS, storage_class=CLASSES, kind=TYPES)
    def store(self, data: bytes, key: str | None, storage_class: str, kind: str) -> Any:
        """POST: refused where the key is held or claimed."""
        model = self.model
        query = self.placed(key=key, storage_class=storage_class)
        answer = self.ask("POST", f"/v1/objects?{query}", data, {"Content-Type": kind})
        if model.is_taken(key):
            self.expect_status("POST to a key that is held", answer, 409)
            return multiple()
        self.expect_status("POST", answer, 201)
        model.take_key(key)
        return self.add(answer[1], Thing(data, key, next(model.births), storage_class, kind))

    @rule(target=things, data=CONTENTS, name=st.sampled_from(["one", "two"]))
    def store_once(self, data: bytes, name: str) -> Any:
        """POST with an idempotency key: again it is the first answer, whatever came since."""
        model = self.model
        headers = {"Idempotency-Key": f"{self.namespace}-{name}"}
        answer = self.ask("POST", f"/v1/objects?{self.placed()}", data, headers)
        content, known, until_s = model.answers.get(name, (b"", "", -1.0))
        if until_s > model.now_s:
            expected = 201 if content == data else 422
            self.expect_status("an upload that was sent before", answer, expected)
            is_it = expected == 422 or json.loads(answer[1])["id"] == known
            self.expect(is_it, f"{known} was answered, and now {answer[1]!r}")
            return multiple()
        self.expect_status("POST with an idempotency key", answer, 201)
        added = self.add(answer[1], Thing(data, None, next(model.births)))
        model.answers[name] = data, added, model.now_s + ANSWERS_KEPT_S
        return added

    @rule(target=things, data=CONTENTS, key=KEYS, condition=st.none() | CONDITIONS)
    def put(self, data: bytes, key: str, condition: tuple[str, str] | None) -> Any:
        """PUT: the last one has the key, if its condition holds."""
        model = self.model
        current = model.current(key)
        headers = self.header(condition, current)
        answer = self.ask("PUT", self.by_key(key), data, headers)
        if not holds(next(iter(headers.items()), None), current):
            self.expect_status(f"PUT with {headers} over {current}", answer, 412)
            return multiple()
        self.expect_status("PUT", answer, 201 if current is None else 200)
        model.displace(key)
        return self.add(answer[1], Thing(data, key, next(model.births)))

    @rule(which=things, condition=st.none() | CONDITIONS)
    def delete(self, which: str, condition: tuple[str, str] | None) -> None:
        """DELETE by id."""
        thing = self.model.things[which]
        headers = self.header(condition, etag_of(thing.data))
        may = holds(next(iter(headers.items()), None), etag_of(thing.data))
        answer = self.ask("DELETE", self.by_id(which), None, headers)
        expected = 404 if not thing.is_there else 204 if may else 412
        self.expect_status(f"DELETE with {headers}", answer, expected)
        if expected == 204:
            self.model.drop(which)

    @rule(key=KEYS, condition=st.none() | CONDITIONS)
    def delete_by_key(self, key: str, condition: tuple[str, str] | None) -> None:
        """DELETE by key."""
        current, holder = self.model.current(key), self.model.holder(key)
        headers = self.header(condition, current)
        may = holds(next(iter(headers.items()), None), current)
        answer = self.ask("DELETE", self.by_key(key), None, headers)
        expected = 412 if not may else 404 if holder is None else 204
        self.expect_status(f"DELETE of a key with {headers} over {current}", answer, expected)
        if expected == 204:
            assert holder is not None
            self.model.drop(holder)

    @rule(which=things, more=st.lists(things, max_size=3), twice=st.booleans())
    def delete_many(self, which: str, more: list[str], twice: bool) -> None:
        """POST /v1/objects/delete: those that are there, in the order asked, each once."""
        asked = [which, _NOBODY, *more, *([which] if twice else [])]
        answer = self.post("/v1/objects/delete", {"tenant_id": "t", "ids": asked})
        self.expect_status("deleting many", answer, 200)
        each_once = list(dict.fromkeys(asked))
        living = self.model.living
        right = {
            "deleted": [name for name in each_once if name in living],
            "missing": [name for name in each_once if name not in living],
        }
        told = json.loads(answer[1])
        self.expect(told == right, f"of {asked} were {right}; told is {told}")
        for name in right["deleted"]:
            self.model.drop(name)

    @rule(which=things, storage_class=CLASSES)
    def move(self, which: str, storage_class: str) -> None:
        """PATCH of the storage class."""
        if self._patch(which, {"storage_class": storage_class}):
            self.model.move(which, storage_class)

    @rule(which=things, key=st.none() | KEYS)
    def rename(self, which: str, key: str | None) -> None:
        """PATCH of the key."""
        is_other = key != self.model.things[which].key
        if self._patch(which, {"key": key}, is_taken=is_other and self.model.is_taken(key)):
            if is_other:
                self.model.take_key(key)
            self.model.things[which].key = key

    @rule(which=things, kind=TYPES, metadata=_METADATA, condition=st.none() | CONDITIONS)
    def describe(
        self,
        which: str,
        kind: str,
        metadata: dict[str, Any],
        condition: tuple[str, str] | None,
    ) -> None:
        """PATCH of content type and metadata, which are merged."""
        change = {"content_type": kind, "metadata": metadata}
        if self._patch(which, change, condition):
            thing = self.model.things[which]
            thing.content_type = kind
            thing.metadata = {**thing.metadata, **metadata}

    def _patch(
        self,
        which: str,
        change: dict[str, Any],
        condition: tuple[str, str] | None = None,
        *,
        is_taken: bool = False,
    ) -> bool:
        """Whether it has changed."""
        thing = self.model.things[which]
        headers = self.header(condition, etag_of(thing.data))
        may = holds(next(iter(headers.items()), None), etag_of(thing.data))
        body = json.dumps(change).encode()
        answer = self.ask("PATCH", self.by_id(which), body, {**PATCH, **headers})
        expected = 404 if not thing.is_there else 412 if not may else 409 if is_taken else 200
        self.expect_status(f"PATCH {change} with {headers}", answer, expected)
        return expected == 200

    @rule(target=things, which=things, storage_class=CLASSES, key=st.none() | KEYS)
    def copy(self, which: str, storage_class: str, key: str | None) -> Any:
        """A new object of the same content."""
        model = self.model
        thing = model.things[which]
        to = {"storage_class": storage_class, **({} if key is None else {"key": key})}
        answer = self.post(f"/v1/objects/{which}/copy?tenant_id=t", to)
        expected = 404 if not thing.is_there else 409 if model.is_taken(key) else 201
        self.expect_status(f"a copy to {to}", answer, expected)
        if expected != 201:
            return multiple()
        model.take_key(key)
        copied = Thing(
            thing.data,
            key,
            next(model.births),
            storage_class,
            thing.content_type,
            dict(thing.metadata),
        )
        return self.add(answer[1], copied)
