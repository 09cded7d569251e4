"""Object metadata: what JSON is accepted, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.domain import METADATA_BYTES_MAX, METADATA_DEPTH_MAX, ObjectMetadata
from juststorage.errors import InvalidMetadata


def nested(depth: int, *, lists: bool = False) -> bytes:
    """JSON of so many levels."""
    if lists:
        return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    return b'{"a":' * (depth - 1) + b"{}" + b"}" * (depth - 1)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b" ",
        b"null",
        b"true",
        b"1",
        b'"a"',
        b"[]",
        b"{",
        b"{}{}",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1e999}',
        b'{"a": "\\u0000"}',
        b'{"\\u0000": 1}',
        b'{"a": ["\\u0000"]}',
        b'{"a": {"b": {"\\u0000": 1}}}',
        b'{"a": "\\ud800"}',
        b'{"a": "\xff"}',
        b'{"a": "' + b"x" * METADATA_BYTES_MAX + b'"}',
        nested(METADATA_DEPTH_MAX + 1),
        nested(METADATA_DEPTH_MAX + 1, lists=True),
        b"[" * 8_000 + b"]" * 8_000,
    ],
    ids=range(23),
)
def test_what_is_no_metadata(text: bytes) -> None:
    """Not JSON, not an object, too deep, too big, or with what a database cannot keep."""
    with pytest.raises(InvalidMetadata):
        ObjectMetadata.parse(text)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "a",
        {"a": float("nan")},
        {"a": [float("inf")]},
        {"a": float("-inf")},
        {"a": "\ud800"},
        {"\udfff": 1},
        {"a": "x" * METADATA_BYTES_MAX},
    ],
)
def test_values_obey_the_same_rules(value: Any) -> None:
    """`of` is as strict as `parse`."""
    with pytest.raises(InvalidMetadata):
        ObjectMetadata.of(value)


def test_the_limits_are_inclusive() -> None:
    """Exactly 16 KiB and exactly 32 levels are accepted, one more is not."""
    frame = len(b'{"a":""}')
    full = {"a": "x" * (METADATA_BYTES_MAX - frame)}
    assert len(ObjectMetadata.of(full).encoded) == METADATA_BYTES_MAX
    with pytest.raises(InvalidMetadata, match=str(METADATA_BYTES_MAX)):
        ObjectMetadata.of({"a": full["a"] + "x"})
    for lists in (False, True):
        ObjectMetadata.parse(nested(METADATA_DEPTH_MAX, lists=lists))


def test_a_text_over_the_limit_is_not_even_parsed() -> None:
    """Spaces count: a header is bounded before it costs anything."""
    text = b'{"a": 1' + b" " * METADATA_BYTES_MAX + b"}"
    with pytest.raises(InvalidMetadata, match="over"):
        ObjectMetadata.parse(text)


def test_metadata_is_compact_and_survives() -> None:
    """White space goes, values stay."""
    text = b' {"a" : [1, 2.5, null, true, "\\u00e9", {"b": {}}], "": ""} '
    made = ObjectMetadata.parse(text)
    assert made.value == {"a": [1, 2.5, None, True, "é", {"b": {}}], "": ""}
    assert b" " not in made.encoded
    assert ObjectMetadata.parse(made.encoded) == made


def test_a_value_is_the_callers_own() -> None:
    """Changing what `value` gave changes nothing else."""
    made = ObjectMetadata.of({"a": [1]})
    made.value["a"].append(2)
    assert made.value == {"a": [1]}
    assert ObjectMetadata.EMPTY.value == {}
