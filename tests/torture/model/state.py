"""The dictionary: what is there, and what it says is the right answer. It talks to nobody."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import count
from typing import Any

__all__ = [
    "ANSWERS_KEPT_S",
    "FIRST_LEASE_S",
    "GRACE_S",
    "RESUMABLE_FOR_S",
    "STEPS_OF_TIME_S",
    "Blob",
    "Model",
    "Thing",
    "Upload",
    "etag_of",
    "holds",
]

FIRST_LEASE_S, RESUMABLE_FOR_S, GRACE_S, ANSWERS_KEPT_S = 600, 5800, 1000, 10_200
STEPS_OF_TIME_S = (400, 2400, 7200)
"""Multiples of 400, and the limits lie 200 from the next multiple. So a walk may take up to 200
seconds of real time, and yet each limit is either over or not."""

Blob = tuple[bytes, str]
"""A content in a storage class."""


def etag_of(data: bytes) -> str:
    """The entity tag of a content."""
    return f'"sha256:{hashlib.sha256(data).hexdigest()}"'


def holds(condition: tuple[str, str] | None, current: str | None) -> bool:
    """Whether a condition holds (RFC 9110, 13.1).

    Args:
        condition: Field and value; None for no condition.
        current: The entity tag of what is there; None where nothing is.
    """
    if condition is None:
        return True
    field_name, value = condition
    names_it = current is not None and value in {"*", current}
    return names_it if field_name == "If-Match" else not names_it


@dataclass
class Thing:
    """An object that is there, or was."""

    data: bytes
    key: str | None
    born: int
    """Orders objects by when they were begun."""
    storage_class: str = "hot"
    content_type: str = "application/octet-stream"
    metadata: dict[str, Any] = field(default_factory=dict)
    is_there: bool = True

    @property
    def blob(self) -> Blob:
        """What it refers to."""
        return self.data, self.storage_class


@dataclass
class Upload:
    """An upload in turns."""

    data: bytes
    key: str | None
    replaces: bool
    storage_class: str
    condition: tuple[str, str] | None
    born: int
    lease_until_s: float
    kept_bytes: int = 0
    claims_key: bool = False
    is_alive: bool = True
    object_id: str | None = None
    """What became of it."""
    told_until_s: float = 0
    """How long that is told, whatever becomes of the object."""


class Model:
    """All that one walk did, in a namespace of its own."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.things: dict[str, Thing] = {}
        self.uploads: dict[str, Upload] = {}
        self.garbage: dict[Blob, float | None] = {}
        """Since when nothing refers to a blob; None where nobody knows whether it is there, since
        who died may have held it."""
        self.haunted: set[Blob] = set()
        """What somebody who died may hold."""
        self.dead_until_s: list[float] = []
        """When the leases end of those who died."""
        self.answers: dict[str, tuple[bytes, str, float]] = {}
        """By idempotency key: content, id, and when it was answered."""
        self.births = count()

    # -- what is there --------------------------------------------------------------------------

    @property
    def living(self) -> dict[str, Thing]:
        """Objects that are there."""
        return {name: thing for name, thing in self.things.items() if thing.is_there}

    def holder(self, key: str | None) -> str | None:
        """The object that holds the key."""
        held = [name for name, each in self.living.items() if key is not None and each.key == key]
        return held[0] if held else None

    def current(self, key: str) -> str | None:
        """The entity tag of what is under the key."""
        holder = self.holder(key)
        return None if holder is None else etag_of(self.things[holder].data)

    def claim(self, key: str | None) -> Upload | None:
        """The upload that claims the key."""
        for each in self.uploads.values():
            if key is not None and each.is_alive and each.claims_key and each.key == key:
                return each
        return None

    def is_taken(self, key: str | None) -> bool:
        """Whether somebody new may not have the key."""
        claim = self.claim(key)
        claimed = claim is not None and claim.lease_until_s > self.now_s
        return self.holder(key) is not None or claimed

    # -- what happens to it ---------------------------------------------------------------------

    def take_key(self, key: str | None) -> None:
        """Somebody new has the key: an upload that claimed it and whose lease is over, ends."""
        claim = self.claim(key)
        if claim is not None:
            claim.is_alive = False

    def displace(self, key: str | None) -> None:
        """A replacement has the key: its holder goes, and an upload that claimed it has lost it."""
        holder, claim = self.holder(key), self.claim(key)
        if holder is not None:
            self.drop(holder)
        if claim is not None:
            claim.claims_key = False

    def add(self, name: str, thing: Thing) -> None:
        """An object came to be."""
        self.things[name] = thing
        self.garbage.pop(thing.blob, None)

    def drop(self, name: str) -> None:
        """An object is gone."""
        thing = self.things[name]
        if thing.is_there:
            thing.is_there = False
            self.let_go(thing.blob)

    def move(self, name: str, storage_class: str) -> None:
        """An object refers to the same content elsewhere."""
        thing = self.things[name]
        before, thing.storage_class = thing.blob, storage_class
        self.garbage.pop(thing.blob, None)
        self.let_go(before)

    def let_go(self, blob: Blob) -> None:
        """One that referred to the blob does not any more."""
        if all(thing.blob != blob for thing in self.living.values()):
            self.garbage[blob] = None if blob in self.haunted else self.now_s

    def haunt(self, blob: Blob) -> None:
        """Somebody died who may have held the blob, and whose lease is not over."""
        self.haunted.add(blob)
        self.dead_until_s.append(self.now_s + FIRST_LEASE_S)
        if all(thing.blob != blob for thing in self.living.values()):
            self.garbage[blob] = None

    # -- what a collection does -----------------------------------------------------------------

    def reap(self) -> tuple[int, int]:
        """Uploads whose lease is over end; how many at least, and at most."""
        expired = [
            each
            for each in self.uploads.values()
            if each.is_alive and each.lease_until_s <= self.now_s
        ]
        for each in expired:
            each.is_alive = False
        dead = [until_s for until_s in self.dead_until_s if until_s <= self.now_s]
        self.dead_until_s = [until_s for until_s in self.dead_until_s if until_s > self.now_s]
        return len(expired), len(expired) + len(dead)

    def collect(self, grace_s: float) -> tuple[int, int]:
        """Blobs go that nothing refers to for so long; how many at least, and at most."""
        unknown = [blob for blob, since_s in self.garbage.items() if since_s is None]
        old = [
            blob
            for blob, since_s in self.garbage.items()
            if since_s is not None and self.now_s - since_s >= grace_s
        ]
        for blob in old:
            del self.garbage[blob]
        return len(old), len(old) + len(unknown)

    # -- what is told of it ---------------------------------------------------------------------

    def usage(self) -> dict[str, int]:
        """The sums of the namespace."""
        living = self.living.values()
        return {
            "objects": len(living),
            "logical_bytes": sum(len(each.data) for each in living),
            "physical_bytes": sum(len(data) for data, _ in {each.blob for each in living}),
        }

    def found(self, search: dict[str, Any]) -> list[str]:
        """What a search finds, in its order."""
        found = [name for name, each in self.living.items() if _matches(each, search)]
        by = search["sort_by"]

        def order(name: str) -> tuple[Any, ...]:
            thing = self.things[name]
            if by == "created_at":
                return (thing.born,)
            if by == "size_bytes":
                return len(thing.data), name
            # Those without a key come last.
            return thing.key is None, (thing.key or "").encode(), name

        return sorted(found, key=order, reverse=search["sort_direction"] == "desc")


def _matches(thing: Thing, search: dict[str, Any]) -> bool:
    key = thing.key
    judged = {
        "key_prefix": lambda text: key is not None and key.startswith(text),
        "key_contains": lambda text: key is not None and text in key,
        "content_type": lambda text: thing.content_type == text,
        "storage_class": lambda text: thing.storage_class == text,
        "content_hash": lambda text: etag_of(thing.data) == f'"{text}"',
        "size_range": lambda sizes: sizes["min"] <= len(thing.data) <= sizes["max"],
        "metadata": lambda wanted: wanted.items() <= thing.metadata.items(),
    }
    return all(judged[name](value) for name, value in search.items() if name in judged)
