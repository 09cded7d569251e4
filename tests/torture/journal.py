"""The journal and the oracle: what was sent, what was acknowledged, and what must be true for ever.

The journal lives in the process of the experiment, outside everything that is killed. The oracle is
simple: unacknowledged means either; acknowledged means for ever.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["Answer", "Broken", "Entry", "Journal"]

Answer = tuple[int, bytes]
"""Status and body."""


class Broken(AssertionError):
    """A promise was broken."""


@dataclass
class Entry:
    """One object whose upload was acknowledged."""

    id: str
    data: bytes
    key: str | None = None
    deleted: bool | None = False
    """None once a delete or a replacement was sent and its answer was lost: either is right."""


@dataclass
class Journal:
    """What one client did.

    Its methods are called before an act is sent, or after its answer, as their tense says.
    """

    entries: list[Entry] = field(default_factory=list)

    @property
    def living(self) -> list[Entry]:
        """Objects that must be there."""
        return [entry for entry in self.entries if entry.deleted is False]

    def uploaded(self, document: bytes, data: bytes, key: str | None = None) -> Entry:
        """An upload was acknowledged, with this document."""
        answered = json.loads(document)
        digest = hashlib.sha256(data).hexdigest()
        if answered["content_hash"] != f"sha256:{digest}" or answered["size_bytes"] != len(data):
            raise Broken(f"an upload was answered with another hash: {answered}")
        entry = Entry(answered["id"], data, key)
        self.entries.append(entry)
        return entry

    def replacing(self, key: str) -> None:
        """A PUT to the key is about to be sent: nobody knows any more who holds it."""
        for entry in self.entries:
            if entry.key == key and entry.deleted is False:
                entry.deleted = None

    def replaced(self, document: bytes, data: bytes, key: str) -> Entry:
        """It was acknowledged: whatever held the key before is gone."""
        for entry in self.entries:
            if entry.key == key:
                entry.deleted = True
        return self.uploaded(document, data, key)

    def untouched(self, key: str) -> None:
        """A PUT was refused for certain: whoever held the key before, which is known, holds it."""
        for entry in self.entries:
            if entry.key == key and entry.deleted is None:
                entry.deleted = False

    @staticmethod
    def judge(entry: Entry, answer: Answer) -> None:
        """Whether a read of the object may be answered like this.

        Raises:
            Broken: It may not.
        """
        status, body = answer
        if status == 200 and body != entry.data:
            raise Broken(f"{entry.id} reads back {len(body)} other bytes")
        if entry.deleted is False and status != 200:
            raise Broken(f"{entry.id} was acknowledged and answers {status}: {body[:300]!r}")
        if entry.deleted is True and status != 404:
            raise Broken(f"{entry.id} was deleted and answers {status}")
        if status not in {200, 404}:
            raise Broken(f"{entry.id} answers {status}: {body[:300]!r}")

    def check(self, read: Callable[[str], Answer]) -> None:
        """Judge a read of everything, now.

        What may be either is settled by that: it has to stay what it turned out to be.
        """
        for entry in self.entries:
            answer = read(entry.id)
            self.judge(entry, answer)
            entry.deleted = answer[0] == 404
