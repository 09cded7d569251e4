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
    storage_class: str | None = None
    """Where a move that was acknowledged has put it; None where that is not known."""


@dataclass
class Journal:
    """What one client did.

    Its methods are called before an act is sent, or after its answer, as their tense says.
    """

    entries: list[Entry] = field(default_factory=list)
    _sent: dict[str, list[bytes]] = field(default_factory=dict)
    """By key: what was sent to it without an answer, or turned out to be what it has."""
    _held: set[str] = field(default_factory=set)
    """Of these keys those that somebody holds, whoever it is: they are never without anything."""

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

    def replacing(self, key: str, data: bytes) -> None:
        """A PUT to the key is about to be sent: nobody knows any more who holds it."""
        self._sent.setdefault(key, []).append(data)
        for entry in self.entries:
            if entry.key == key and entry.deleted is False:
                entry.deleted = None
                self._held.add(key)

    def replaced(self, document: bytes, data: bytes, key: str) -> Entry:
        """It was acknowledged: whatever held the key before is gone."""
        self.forget(key)
        for entry in self.entries:
            if entry.key == key:
                entry.deleted = True
        return self.uploaded(document, data, key)

    def untouched(self, key: str) -> None:
        """A PUT was refused for certain: whoever held the key before, which is known, holds it."""
        self.forget(key)
        for entry in self.entries:
            if entry.key == key and entry.deleted is None:
                entry.deleted = False

    def forget(self, key: str | None = None) -> None:
        """What was sent to the key, or to any, says nothing any more of what it has."""
        keys = list(self._sent) if key is None else [key]
        for each in keys:
            self._sent.pop(each, None)
            self._held.discard(each)

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

    def check(
        self,
        read: Callable[[str], Answer],
        read_key: Callable[[str], Answer] | None = None,
        read_class: Callable[[str], str] | None = None,
    ) -> None:
        """Judge a read of everything, now.

        What may be either is settled by that: it has to stay what it turned out to be.

        Args:
            read: By an object's id.
            read_key: By a key; None where no key may be read.
            read_class: An object's storage class; None where nobody moves any.

        Raises:
            Broken: An object or a key is not what it has to be.
        """
        for entry in self.entries:
            answer = read(entry.id)
            self.judge(entry, answer)
            entry.deleted = answer[0] == 404
        if read_class is not None:
            self._check_classes(read_class)
        if read_key is None:
            return
        holders = {entry.key: entry for entry in self.living if entry.key is not None}
        for key, entry in holders.items():
            # Its object is still there, so no PUT after it was carried out.
            self.forget(key)
            if read_key(key) != (200, entry.data):
                raise Broken(f"{entry.id} is there, and its key {key} does not find it")
        for key in list(self._sent):
            self._judge_key(key, read_key(key))

    def _check_classes(self, read_class: Callable[[str], str]) -> None:
        for entry in self.living:
            wanted = entry.storage_class
            if wanted is not None and (found := read_class(entry.id)) != wanted:
                raise Broken(f"{entry.id} was moved to {wanted}, and is {found}")

    def _judge_key(self, key: str, answer: Answer) -> None:
        """Of a key that no object which is known holds."""
        status, body = answer
        if status == 404 and key not in self._held:
            self.forget(key)
        elif status == 200 and body in self._sent[key]:
            self._sent[key] = [body]
            self._held.add(key)
        elif status == 404:
            raise Broken(f"{key} was held, and has neither what it had nor what was sent")
        else:
            raise Broken(f"{key} answers {status}, with what nobody sent: {body[:300]!r}")
