"""The state machine of objects, and the classes of storage."""

from __future__ import annotations

from itertools import product

import pytest

from juststorage.domain import ObjectStatus, StorageClass
from juststorage.errors import Invalid, InvalidState, InvalidTransition

WRITING, COMMITTED = ObjectStatus.WRITING, ObjectStatus.COMMITTED
DELETING, DELETED = ObjectStatus.DELETING, ObjectStatus.DELETED

ALLOWED = {
    (WRITING, COMMITTED),
    (WRITING, DELETED),
    (COMMITTED, DELETING),
    (DELETING, DELETED),
}


@pytest.mark.parametrize(("source", "target"), [*product(ObjectStatus, repeat=2)])
def test_every_move_is_allowed_or_refused(source: ObjectStatus, target: ObjectStatus) -> None:
    """Four moves exist; the other twelve, staying included, are refused."""
    if (source, target) in ALLOWED:
        assert source.to(target) is target
    else:
        with pytest.raises(InvalidTransition, match=f"from {source} to {target}"):
            source.to(target)


def test_a_refused_move_is_a_conflict_of_state() -> None:
    """Callers that handle `InvalidState` handle a wrong transition too."""
    with pytest.raises(InvalidState):
        DELETED.to(WRITING)


@pytest.mark.parametrize("text", ["", "HOT", "hot ", "warm", "hot\x00"])
def test_other_words_are_no_storage_class(text: str) -> None:
    """Only the two words, in lower case, name a class."""
    with pytest.raises(Invalid, match="hot or cold"):
        StorageClass.parse(text)


def test_storage_classes_parse() -> None:
    """Both words are read."""
    assert [StorageClass.parse(text) for text in ("hot", "cold")] == list(StorageClass)
