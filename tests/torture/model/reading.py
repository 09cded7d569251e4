"""Rules of what is read: bytes, parts of them, documents, pages, sums."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.torture.model.state import etag_of, holds
from tests.torture.model.walker import CLASSES, CONDITIONS, CONTENTS, KEYS, TYPES, Walker, things

__all__ = ["Reading"]

_PLACES = st.sampled_from([0, 1, 4999, 5000, 69_999, 299_999, 300_000])
_LIMITS = st.integers(1, 3)
_PREFIXES = st.sampled_from(["k", "k/", "ü"])
_SEARCHES = st.fixed_dictionaries(
    {
        "sort_by": st.sampled_from(["created_at", "size_bytes", "key"]),
        "sort_direction": st.sampled_from(["asc", "desc"]),
    },
    optional={
        "key_prefix": _PREFIXES,
        "key_contains": st.sampled_from(["k", "l", " "]),
        "content_type": TYPES,
        "storage_class": CLASSES,
        "content_hash": CONTENTS.map(lambda data: etag_of(data).strip('"')),
        "size_range": st.sampled_from([{"min": 0, "max": 5000}, {"min": 1, "max": 70_000}]),
        "metadata": st.sampled_from([{"a": 1}, {"b": "x"}]),
    },
)


class Reading(Walker):
    """GET, HEAD, lists, searches, usage."""

    @rule(which=things, condition=st.none() | CONDITIONS)
    def read(self, which: str, condition: tuple[str, str] | None) -> None:
        """GET by id."""
        thing = self.model.things[which]
        etag = etag_of(thing.data)
        headers = self.header(condition, etag)
        answer, told = self.exchange("GET", self.by_id(which), None, headers)
        may = holds(next(iter(headers.items()), None), etag)
        refused = 412 if "If-Match" in headers else 304
        expected = 404 if not thing.is_there else 200 if may else refused
        self.expect_status(f"GET with {headers}", answer, expected)
        if expected == 200:
            self.expect(answer[1] == thing.data, "other bytes")
        if expected in {200, 304}:
            self.expect(told["ETag"] == etag, f"the tag is {told['ETag']}, not {etag}")

    @rule(key=KEYS)
    def read_by_key(self, key: str) -> None:
        """GET by key."""
        holder = self.model.holder(key)
        answer, told = self.exchange("GET", self.by_key(key))
        self.expect_status("GET of a key", answer, 404 if holder is None else 200)
        if holder is not None:
            self.expect(answer[1] == self.model.things[holder].data, "other bytes")
            self.expect(told["X-Object-Id"] == holder, f"{told['X-Object-Id']}, not {holder}")

    @rule(
        which=things,
        first=st.none() | _PLACES,
        last=st.none() | _PLACES,
        unless=st.sampled_from(["own", "other"]) | st.none(),
    )
    def read_part(
        self, which: str, first: int | None, last: int | None, unless: str | None
    ) -> None:
        """GET with Range, of one range; with If-Range it counts only for what it names."""
        thing = self.model.things[which]
        wanted = f"{'' if first is None else first}-{'' if last is None else last}"
        headers = {"Range": f"bytes={wanted}"}
        if unless is not None:
            headers["If-Range"] = etag_of(thing.data if unless == "own" else b"other")
        answer, told = self.exchange("GET", self.by_id(which), None, headers)
        part = None if unless == "other" else _part(len(thing.data), first, last)
        expected = 404
        if thing.is_there:
            expected = 200 if part is None else 206 if part else 416
        self.expect_status(f"GET with {headers} of {len(thing.data)} bytes", answer, expected)
        if expected == 200:
            self.expect(answer[1] == thing.data, "other bytes")
        elif expected == 206:
            assert part is not None
            self.expect(answer[1] == thing.data[part.start : part.stop], "other bytes")
            is_said = f"bytes {part.start}-{part.stop - 1}/{len(thing.data)}"
            self.expect(told["Content-Range"] == is_said, f"{told['Content-Range']}, not {is_said}")

    @rule(which=things)
    def read_document(self, which: str) -> None:
        """What is known about an object."""
        thing = self.model.things[which]
        answer = self.ask("GET", f"/v1/objects/{which}/metadata?tenant_id=t")
        self.expect_status("a look at an object", answer, 200 if thing.is_there else 404)
        if thing.is_there:
            told = json.loads(answer[1])
            self.expect(self.is_described(told, thing), f"{thing} is told as {told}")

    @rule(which=things)
    def read_head(self, which: str) -> None:
        """HEAD."""
        thing = self.model.things[which]
        answer, told = self.exchange("HEAD", self.by_id(which))
        self.expect_status("HEAD", answer, 200 if thing.is_there else 404)
        if thing.is_there:
            self.expect(int(told["Content-Length"]) == len(thing.data), f"HEAD says {told}")

    @rule(limit=_LIMITS, prefix=st.none() | _PREFIXES)
    def follow_a_list(self, limit: int, prefix: str | None) -> None:
        """All pages of a list: newest first, or by key."""
        target = f"/v1/objects?{self.placed(limit=str(limit), prefix=prefix)}"
        listed: list[str] = []
        cursor: str | None = None
        while cursor is not None or not listed:
            more = "" if cursor is None else f"&cursor={cursor}"
            cursor = self._page(self.ask("GET", target + more), listed, limit)
            if cursor is None:
                break
        by = {"sort_by": "created_at", "sort_direction": "desc"}
        if prefix is not None:
            by = {"sort_by": "key", "sort_direction": "asc", "key_prefix": prefix}
        right = self.model.found(by)
        self.expect(listed == right, f"listed are {listed}, there are {right}")

    @rule(limit=_LIMITS, search=_SEARCHES)
    def follow_a_search(self, limit: int, search: dict[str, Any]) -> None:
        """All pages of a search."""
        asked = {"tenant_id": "t", "namespace": self.namespace, "limit": limit, **search}
        found: list[str] = []
        while True:
            cursor = self._page(self.post("/v1/objects/search", asked), found, limit)
            if cursor is None:
                break
            asked["cursor"] = cursor
        right = self.model.found(search)
        self.expect(found == right, f"{search} finds {found}, there are {right}")

    def _page(self, answer: tuple[int, bytes], names: list[str], limit: int) -> str | None:
        """Add the names of a page; the next one's cursor."""
        self.expect_status("a page", answer, 200)
        page = json.loads(answer[1])
        for told in page["objects"]:
            thing = self.model.things.get(told["id"])
            is_right = thing is not None and self.is_described(told, thing)
            self.expect(is_right, f"{thing} is told as {told}")
            names.append(told["id"])
        cursor: str | None = page["next_cursor"]
        is_full = len(page["objects"]) == limit
        self.expect(cursor is None or is_full, "a page that is not the last is not full")
        return cursor

    @rule()
    def usage(self) -> None:
        """The sums are exact."""
        answer = self.ask("GET", f"/v1/usage?tenant_id=t&namespace={self.namespace}")
        self.expect_status("usage", answer, 200)
        told, right = json.loads(answer[1]), self.model.usage()
        self.expect(right.items() <= told.items(), f"it is {right}, and told is {told}")


def _part(size: int, first: int | None, last: int | None) -> range | None:
    """The bytes that a range asks for (RFC 9110, 14.1.2); None where the header is ignored."""
    if first is None:
        if last is None or (size == 0 and last > 0):
            return None
        return range(max(0, size - last), size)
    if last is not None and last < first:
        return None
    return range(first, size if last is None else max(first, min(size, last + 1)))
