"""Metadata of objects: JSON in a header field, and merge patches."""

from __future__ import annotations

from hypothesis import strategies as st

from juststorage.domain import Change, ObjectMetadata
from juststorage.errors import InvalidMetadata
from juststorage_api._http.headers import object_metadata
from tests.fuzz.fuzzing import Target
from tests.fuzz.inputs import json_near

__all__ = ["TARGETS"]

_GOOD = ({}, {"a": {"b": [1, 2.5, "c", None]}}, {"owner": "ml-team", "n": 2**63})


def read_metadata(value: tuple[bytes, bytes]) -> str | None:
    """What is stored is read as the same; a patch that went well can be sent again.

    Both inputs come by both ways in: the header field takes ASCII alone.
    """
    target, patch = (_parsed(raw) for raw in value)
    for each in [*target, *patch]:
        assert ObjectMetadata.parse(each.encoded) == each
        assert ObjectMetadata.of(each.value) == each
    if not target or not patch:
        return "one is refused" if target or patch else "both are refused"
    change = Change(merge_metadata=patch[0].value)
    once = change.merged(target[0])
    assert change.merged(once) == once
    return None


def _parsed(raw: bytes) -> list[ObjectMetadata]:
    found = []
    for parse in (ObjectMetadata.parse, lambda text: object_metadata({b"x-object-metadata": text})):
        try:
            found.append(parse(raw))
        except InvalidMetadata:
            continue
    return found


_TEXTS = json_near(["a", "b", "owner"], ["ä", 2**53 + 1, 0.1], _GOOD)

TARGETS = {"metadata": Target(st.tuples(_TEXTS, _TEXTS), read_metadata)}
