"""The oracle notices what a service may lose: objects, and what their keys have."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable

import pytest

from tests.torture.journal import Answer, Broken, Journal

OLD, NEW = b"old", b"new"


class Service:
    """Objects by id, and the ids of keys; whatever happens to them is right."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.keys: dict[str, str] = {}
        self._numbers = itertools.count()

    def put(self, data: bytes, key: str | None = None) -> bytes:
        """Store it, in place of what the key has; the document."""
        object_id = f"id-{next(self._numbers)}"
        if key is not None:
            self.objects.pop(self.keys.get(key, ""), None)
            self.keys[key] = object_id
        self.objects[object_id] = data
        digest = hashlib.sha256(data).hexdigest()
        document = {"id": object_id, "content_hash": f"sha256:{digest}", "size_bytes": len(data)}
        return json.dumps(document).encode()

    def read(self, object_id: str) -> Answer:
        """By id."""
        data = self.objects.get(object_id)
        return (404, b"") if data is None else (200, data)

    def read_key(self, key: str) -> Answer:
        """By key."""
        return self.read(self.keys.get(key, ""))


@pytest.fixture
def service() -> Service:
    """An empty one."""
    return Service()


@pytest.fixture
def journal(service: Service) -> Journal:
    """Of a key that has been acknowledged."""
    made = Journal()
    made.replacing("k", OLD)
    made.replaced(service.put(OLD, "k"), OLD, "k")
    return made


def check(journal: Journal, service: Service) -> None:
    """Twice, as experiments do: what was found once has to stay."""
    for _ in range(2):
        journal.check(service.read, service.read_key)


def test_what_was_acknowledged_has_to_be_found_by_its_key(
    journal: Journal, service: Service
) -> None:
    """Not only by its id."""
    check(journal, service)
    service.keys["k"] = "none"
    with pytest.raises(Broken, match="its key k does not find it"):
        check(journal, service)


@pytest.mark.parametrize("is_done", [True, False])
def test_an_unanswered_replacement_is_done_or_not(
    journal: Journal, service: Service, is_done: bool
) -> None:
    """Either is right, and stays so."""
    journal.replacing("k", NEW)
    if is_done:
        service.put(NEW, "k")
    check(journal, service)
    service.put(OLD if is_done else NEW, "k")
    with pytest.raises(Broken):
        check(journal, service)


def test_a_replacement_does_not_leave_a_key_with_nothing(
    journal: Journal, service: Service
) -> None:
    """Half of one: the old object is gone, and the new one is not there."""
    journal.replacing("k", NEW)
    service.objects.clear()
    with pytest.raises(Broken, match="neither what it had nor what was sent"):
        check(journal, service)


def test_nor_with_something_else(journal: Journal, service: Service) -> None:
    """Of whomever."""
    journal.replacing("k", NEW)
    service.put(b"whose?", "k")
    with pytest.raises(Broken, match="with what nobody sent"):
        check(journal, service)


def test_what_it_turned_out_to_have_it_keeps(journal: Journal, service: Service) -> None:
    """Also where nobody knows the object's id."""
    journal.replacing("k", NEW)
    service.put(NEW, "k")
    check(journal, service)
    service.objects.clear()
    with pytest.raises(Broken, match="was held"):
        check(journal, service)


def test_a_first_upload_to_a_key_may_not_have_happened(service: Service) -> None:
    """Then there is nothing."""
    journal = Journal()
    journal.replacing("k", NEW)
    check(journal, service)
    journal.replacing("k", NEW)
    service.put(NEW, "k")
    check(journal, service)


@pytest.mark.parametrize(
    "decided",
    [
        lambda journal, service: journal.replaced(service.put(b"later", "k"), b"later", "k"),
        lambda journal, service: journal.untouched("k"),
    ],
)
def test_an_answer_decides(
    journal: Journal, service: Service, decided: Callable[[Journal, Service], object]
) -> None:
    """What was sent before it, unanswered, says nothing any more."""
    journal.replacing("k", NEW)
    decided(journal, service)
    check(journal, service)
    service.put(NEW, "k")
    with pytest.raises(Broken):
        check(journal, service)


def test_a_deleted_object_leaves_its_key_to_nobody(journal: Journal, service: Service) -> None:
    """And nothing is asked of the key."""
    [entry] = journal.entries
    service.objects.clear()
    entry.deleted = True
    check(journal, service)


def test_an_acknowledged_move_is_not_undone(journal: Journal, service: Service) -> None:
    """Where it was not answered, it is in either class."""
    [entry] = journal.entries
    journal.check(service.read, service.read_key, lambda _: "hot")
    entry.storage_class = "cold"
    journal.check(service.read, service.read_key, lambda _: "cold")
    with pytest.raises(Broken, match="was moved to cold, and is hot"):
        journal.check(service.read, service.read_key, lambda _: "hot")
