"""The depth of JSON that nobody has decoded yet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage_api._http.depth import is_deeper

VALUES = st.recursive(
    st.none() | st.integers() | st.text() | st.sampled_from(['"', "\\", '\\"[', "]]}}", "[[[{"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def depth_of(value: Any) -> int:
    """A model: how many levels there are."""
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


@given(VALUES, st.booleans())
def test_depth_of_any_value(value: Any, spaced: bool) -> None:
    """Brackets in strings do not count, escaped quotes do not end them."""
    text = json.dumps(value, indent=2 if spaced else None).encode()
    depth = depth_of(value)
    assert not is_deeper(text, depth)
    assert depth == 0 or is_deeper(text, depth - 1)


@pytest.mark.parametrize(
    ("text", "deeper"),
    [
        (b"[" * 1_000_000, True),
        (b"[]" * 100_000, False),
        (b'"' + b"[" * 1_000_000, False),
        (b'"' + b"\\" * 1_000_001 + b"[" * 40, False),
        (b"]" * 40 + b"[" * 40, False),
        (b"", False),
    ],
    ids=["endless", "wide", "unclosed", "escapes", "backwards", "empty"],
)
def test_what_is_no_json_costs_little(text: bytes, deeper: bool) -> None:
    """Any answer will do, at once."""
    assert is_deeper(text, 32) is deeper
