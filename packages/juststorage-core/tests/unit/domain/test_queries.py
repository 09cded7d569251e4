"""Conditions and merge patches."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.domain import (
    UNCONDITIONAL,
    Change,
    Conditions,
    ContentHash,
    ObjectMetadata,
)
from juststorage.errors import InvalidMetadata

A = ContentHash("sha256:" + "a" * 64)
B = ContentHash("sha256:" + "b" * 64)
ANY: frozenset[ContentHash] = frozenset()


@pytest.mark.parametrize(
    ("conditions", "nothing", "a", "b"),
    [
        (UNCONDITIONAL, True, True, True),
        (Conditions(if_match=ANY), False, True, True),
        (Conditions(if_match=frozenset({A})), False, True, False),
        (Conditions(if_match=frozenset({A, B})), False, True, True),
        (Conditions(if_none_match=ANY), True, False, False),
        (Conditions(if_none_match=frozenset({A})), True, False, True),
        (Conditions(if_none_match=frozenset({A, B})), True, False, False),
        (Conditions(if_match=ANY, if_none_match=frozenset({A})), False, False, True),
        (Conditions(if_match=frozenset({A}), if_none_match=frozenset({A})), False, False, False),
        (Conditions(if_match=ANY, if_none_match=ANY), False, False, False),
    ],
)
def test_conditions(conditions: Conditions, nothing: bool, a: bool, b: bool) -> None:
    """RFC 9110: a star means anything that exists, and nothing matches nothing."""
    assert conditions.hold_for(None) is nothing
    assert conditions.hold_for(A) is a
    assert conditions.hold_for(B) is b


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
        ({"a": 1}, {"a": {"b": None}}, {"a": {}}),
        ({"a": 1}, {}, {"a": 1}),
    ],
)
def test_merge_patches(
    target: dict[str, Any], patch: dict[str, Any], result: dict[str, Any]
) -> None:
    """The examples of RFC 7396, as far as they are objects."""
    before = ObjectMetadata.of(target)
    assert Change(merge_metadata=patch).merged(before).value == result
    assert before.value == target


def test_no_patch_and_a_reset() -> None:
    """Unset leaves the metadata alone, None empties it."""
    before = ObjectMetadata.of({"a": 1})
    assert Change().merged(before) is before
    assert Change(merge_metadata=None).merged(before) == ObjectMetadata.EMPTY


@pytest.mark.parametrize("patch", [{"b": "x" * 10_000}, {"b": "\x00"}, {"b": float("nan")}])
def test_a_patch_must_leave_metadata(patch: dict[str, Any]) -> None:
    """The result obeys every rule of metadata."""
    with pytest.raises(InvalidMetadata):
        Change(merge_metadata=patch).merged(ObjectMetadata.of({"a": "x" * 10_000}))
