"""The entity: each method is one move of the state machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from juststorage.domain import ObjectStatus, StoredObject
from juststorage.errors import InvalidTransition
from juststorage.testing import make_content, make_new_object

T0 = datetime(2026, 1, 1, tzinfo=UTC)
T1 = T0 + timedelta(seconds=1)
CONTENT = make_content("x")

METHODS: dict[str, tuple[ObjectStatus, ObjectStatus, Callable[[StoredObject], StoredObject]]] = {
    "commit": (
        ObjectStatus.WRITING,
        ObjectStatus.COMMITTED,
        lambda each: each.commit("placed", T1),
    ),
    "abandon": (ObjectStatus.WRITING, ObjectStatus.DELETED, lambda each: each.abandon(T1)),
    "delete": (ObjectStatus.COMMITTED, ObjectStatus.DELETING, lambda each: each.delete(T1)),
    "bury": (ObjectStatus.DELETING, ObjectStatus.DELETED, lambda each: each.bury(T1)),
}


def in_status(status: ObjectStatus) -> StoredObject:
    """An object with content in that state."""
    begun = StoredObject.begin(make_new_object("k"), T0)
    known = begun.with_content(CONTENT.content_hash, CONTENT.size_bytes)
    locator = "placed" if status is ObjectStatus.COMMITTED else None
    return replace(known, status=status, locator=locator)


@pytest.mark.parametrize("status", ObjectStatus)
@pytest.mark.parametrize("name", METHODS)
def test_each_method_has_one_source(name: str, status: ObjectStatus) -> None:
    """It moves from its own state only, and leaves the value that it came from alone."""
    source, target, method = METHODS[name]
    before = in_status(status)
    if status is not source:
        with pytest.raises(InvalidTransition):
            method(before)
        return
    after = method(before)
    assert (after.status, after.updated_at, before.status) == (target, T1, source)
    assert (after.id, after.created_at) == (before.id, T0)


def test_the_locator_is_only_there_while_committed() -> None:
    """It comes with the commit and goes with the delete; the hash stays for the audit."""
    committed = in_status(ObjectStatus.WRITING).commit("placed/1", T1)
    assert committed.locator == "placed/1"
    deleting = committed.delete(T1)
    assert deleting.locator is None
    assert deleting.bury(T1).content_hash == CONTENT.content_hash


@pytest.mark.parametrize("status", list(ObjectStatus)[1:])
def test_content_comes_while_writing(status: ObjectStatus) -> None:
    """No later state takes other content."""
    with pytest.raises(InvalidTransition):
        in_status(status).with_content(CONTENT.content_hash, CONTENT.size_bytes)


def test_begin_takes_everything_from_the_request() -> None:
    """What a client asked for, without content, at one time."""
    new = make_new_object("k", metadata={"a": 1}, content_type="x/y")
    begun = StoredObject.begin(new, T0)
    assert (begun.id, begun.namespace, begun.tenant_id) == (new.id, new.namespace, new.tenant_id)
    assert (begun.key, begun.metadata, begun.content_type) == (new.key, new.metadata, "x/y")
    assert (begun.status, begun.content_hash, begun.size_bytes) == (
        ObjectStatus.WRITING,
        None,
        None,
    )
    assert begun.created_at == begun.updated_at == T0
