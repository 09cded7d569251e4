"""What became of an act that was answered 503, or not at all: looked up, and counted.

A client finds that out by its own means: it lists, it asks for its upload in turns, it sends its
idempotency key again. The act is committed or absent, and what it was found to be it stays; it is
never there twice, and the service has all its connections to the database at its disposal again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.torture.acts import UPLOADING, Copy, Deed, Replace, UploadInTurns, UploadOnce
from tests.torture.experiment import Counts, Rig
from tests.torture.journal import Broken
from tests.torture.members import Service
from tests.torture.service import Store

__all__ = ["Outcomes", "all_slots_free", "nothing_hangs"]

_SLOTS_FREE_S = 5.0
_IN_USE = 'juststorage_backend_connections_in_use{backend="metadata"}'
_IN_TRANSACTION = (
    "pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in transaction%'"
)
_ADDING = (*UPLOADING, UploadInTurns, Copy)
"""Acts that add one object with their content."""


def _listed(service: Service) -> Iterator[dict[str, Any]]:
    """The document of every object, from page to page."""
    cursor = ""
    while True:
        target = "/v1/objects?namespace=n&tenant_id=t&limit=1000" + cursor
        answer = service.call("GET", target)
        if answer is None or answer[0] != 200:
            raise Broken(f"a list is answered {answer}")
        page = json.loads(answer[1])
        yield from page["objects"]
        if page.get("next_cursor") is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def _hash(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def all_slots_free(service: Service, *, within_s: float = _SLOTS_FREE_S) -> None:
    """Wait until the service uses no connection to its database.

    Raises:
        Broken: It does for longer than `within_s`: a slot of its pool has leaked.
    """
    deadline = time.monotonic() + within_s
    while True:
        answer = service.call("GET", "/metrics")
        if answer is None or answer[0] != 200:
            raise Broken(f"the metrics are answered {answer}")
        lines = dict(line.rsplit(" ", 1) for line in answer[1].decode().splitlines())
        if float(lines[_IN_USE]) == 0:
            return
        if time.monotonic() > deadline:
            raise Broken(f"{lines[_IN_USE]} connections are in use, and nobody asks for anything")
        time.sleep(0.02)


def nothing_hangs(store: Store) -> None:
    """Wait until no connection to PostgreSQL stands within a transaction.

    Raises:
        Broken: One does for longer than a moment.
    """
    deadline = time.monotonic() + _SLOTS_FREE_S
    while store.count(_IN_TRANSACTION):
        if time.monotonic() > deadline:
            raise Broken("a transaction hangs")
        time.sleep(0.05)


@dataclass
class Outcomes:
    """What acts came to; `before` each of them, and `after` it.

    Args:
        made: Where.
        counts: What was found is counted here.
    """

    made: Rig
    counts: Counts
    _before: list[dict[str, Any]] = field(default_factory=list)
    _settled: dict[str, int] = field(default_factory=dict)
    """How many objects each content has that was looked up, which stays so."""

    def before(self, doing: Deed) -> None:
        """It is prepared."""
        self._before = self._found(doing)

    def after(self, doing: Deed, *, done: bool) -> None:
        """It was answered, or not; look, and tell the journal.

        Raises:
            Broken: It is there twice; or a success is not there; or what was found before is not
                there any more; or it cannot be gone on with.
        """
        self._look(doing, done=done)
        if not done and isinstance(doing, UploadOnce | UploadInTurns):
            doing.refused = None
            again = doing.act()
            # 409: the lease of the first attempt is not over, and the key waits for it.
            if not again and not (isinstance(doing, UploadOnce) and doing.refused == 409):
                raise Broken(f"it does not go on: {doing.refused}")
            self.counts[f"{type(doing).__name__} gone on with after a cut"] += again
            self._look(doing, done=again)
        all_slots_free(self.made.service)

    def after_new(self, doing: Deed, *, done: bool) -> bool:
        """The same of an act that adds content of which there was nothing before; is it there?

        Raises:
            Broken: See `after`.
        """
        self._before = []
        self._look_at_content(doing, done=done)
        all_slots_free(self.made.service)
        return self._settled[_hash(doing.at_stake)] == 1

    def check(self) -> None:
        """Look again, once all leases are over: what was absent or committed is so for ever.

        Raises:
            Broken: Something has come to life, or is gone.
        """
        living = Counter(document["content_hash"] for document in _listed(self.made.service))
        for content_hash, number in self._settled.items():
            if living[content_hash] != number:
                raise Broken(
                    f"{number} were there, and {living[content_hash]} later: {content_hash}"
                )
        self._settled.clear()

    def _found(self, doing: Deed) -> list[dict[str, Any]]:
        """What there is with its content, or under its key."""
        if isinstance(doing, Replace):
            return [each for each in _listed(self.made.service) if each.get("key") == doing.key]
        wanted = _hash(doing.at_stake)
        return [each for each in _listed(self.made.service) if each["content_hash"] == wanted]

    def _look(self, doing: Deed, *, done: bool) -> None:
        if isinstance(doing, Replace):
            self._look_at_key(doing, done=done)
        elif isinstance(doing, _ADDING):
            self._look_at_content(doing, done=done)

    def _look_at_key(self, doing: Replace, *, done: bool) -> None:
        found = self._found(doing)
        if len(found) != 1:
            raise Broken(f"{len(found)} objects hold one key")
        is_new = found[0]["content_hash"] == _hash(doing.data)
        if not is_new and found != self._before:
            raise Broken("a key has neither what it had nor what was sent")
        if done and not is_new:
            raise Broken("a PUT was answered with success, and its key has what it had before")
        if not done and is_new:
            self.made.journal.replaced(_encoded(found[0]), doing.data, doing.key)
        if not done and not is_new:
            self.made.journal.untouched(doing.key)
        self._count(done=done, is_there=is_new)

    def _look_at_content(self, doing: Deed, *, done: bool) -> None:
        found, content_hash = self._found(doing), _hash(doing.at_stake)
        if len(found) < self._settled.get(content_hash, 0):
            raise Broken("it was found to be committed, and is not there any more")
        added = len(found) - len(self._before)
        if added not in ({1} if done else {0, 1}):
            raise Broken(f"one upload, of which {added} are there; answered: {done}")
        known = {entry.id for entry in self.made.journal.entries}
        for document in found:
            if document["id"] not in known:
                self.made.journal.uploaded(_encoded(document), doing.at_stake)
        self._settled[content_hash] = len(found)
        self._count(done=done, is_there=added == 1)

    def _count(self, *, done: bool, is_there: bool) -> None:
        if not done:
            what = "committed" if is_there else "absent"
            self.counts[f"unknown outcomes looked up, {what}"] += 1


def _encoded(document: dict[str, Any]) -> bytes:
    return json.dumps(document).encode()
