"""The gate's own comparison of versions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.specifiers import SpecifierSet

from juststorage.plugins._gate import plainly_within

versions = st.lists(st.integers(0, 12), min_size=1, max_size=4).map(
    lambda numbers: ".".join(map(str, numbers))
)
bounds = st.tuples(st.sampled_from(["<", "<=", ">", ">="]), versions).map("".join)


@given(version=versions, ranges=st.lists(bounds, min_size=1, max_size=3))
def test_plain_comparison_agrees_with_packaging(version: str, ranges: list[str]) -> None:
    """For plain numbers the short way answers as `packaging` does."""
    text = ",".join(ranges)
    assert plainly_within(version, text) is SpecifierSet(text).contains(version, prereleases=True)


@pytest.mark.parametrize(
    ("version", "versions"),
    [("1.0.dev1", ">=1"), ("1.0", "~=1.0"), ("1.0", ">=1.0rc1"), ("1.0", "==1.*"), ("1.0", "")],
)
def test_everything_else_is_left_to_packaging(version: str, versions: str) -> None:
    """The short way does not guess at forms that it does not know."""
    assert plainly_within(version, versions) is None
