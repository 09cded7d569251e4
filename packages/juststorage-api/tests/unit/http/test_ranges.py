"""Range headers."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage_api._http.problem import RangeNotSatisfiable
from juststorage_api._http.ranges import RANGES_MAX, parse_range


@pytest.mark.parametrize(
    ("header", "spans"),
    [
        (b"bytes=0-0", [(0, 1)]),
        (b"bytes=0-99", [(0, 10)]),
        (b"bytes=9-", [(9, 1)]),
        (b"bytes=-1", [(9, 1)]),
        (b"bytes=-10", [(0, 10)]),
        (b"bytes=-0,0-0", [(0, 1)]),
        (b"bytes=5-6,0-1", [(5, 2), (0, 2)]),
        (b"bytes=5-6,0-1,6-7", [(5, 3), (0, 2)]),
        (b"bytes=8-8,3-3,0-0,1-3", [(8, 1), (0, 4)]),
        (b"bytes=0-1,1-2", [(0, 3)]),
        (b"bytes=0-1,2-3", [(0, 4)]),
        (b"bytes=0-9,3-4", [(0, 10)]),
        (b"bytes= 0-0 ,\t2-2", [(0, 1), (2, 1)]),
        (b"bytes=,0-0,,", [(0, 1)]),
        (b"Bytes=0-0", [(0, 1)]),
        (b"bytes=0-0,50-60", [(0, 1)]),
    ],
)
def test_spans(header: bytes, spans: list[tuple[int, int]]) -> None:
    """What has a byte, merged, in the order in which it was asked for."""
    assert parse_range(header, 10) == spans


@pytest.mark.parametrize(
    "header",
    [b"", b"bytes", b"bytes=", b"bytes=,", b"bytes=-", b"bytes=--1", b"bytes=1", b"bytes=1-0",
     b"bytes=0x1-2", b"bytes=1 -2", b"bytes=1-2-3", b"bytes=1-2;3-4", b"bytes =1-2", b"items=0-1",
     b"bytes=0-1,x", b"bytes=\xb2-", "bytes=٣-".encode(), b"=0-1", b"bytes==0-1"],
)  # fmt: skip
def test_malformed_is_ignored(header: bytes) -> None:
    """RFC 9110, 14.2: an invalid ranges-specifier counts as none."""
    assert parse_range(header, 10) is None


@pytest.mark.parametrize("header", [b"bytes=10-", b"bytes=10-20", b"bytes=-0", b"bytes=11-,12-"])
def test_nothing_in_range(header: bytes) -> None:
    """416, with the size."""
    with pytest.raises(RangeNotSatisfiable) as refusal:
        parse_range(header, 10)
    assert (b"content-range", b"bytes */10") in refusal.value.headers


def test_ranges_of_nothing() -> None:
    """Empty content has no first byte; its last n bytes are all of it."""
    assert parse_range(b"bytes=-5", 0) is None
    for header in (b"bytes=0-", b"bytes=-0", b"bytes=0-0"):
        with pytest.raises(RangeNotSatisfiable):
            parse_range(header, 0)


def test_the_limit_counts_after_merging() -> None:
    """Sixteen are served, seventeen are not, and hundreds that merge are one."""

    def apart(count: int) -> bytes:
        return b"bytes=" + b",".join(b"%d-%d" % (2 * at, 2 * at) for at in range(count))

    spans = parse_range(apart(RANGES_MAX), 1000)
    assert spans is not None and len(spans) == RANGES_MAX
    with pytest.raises(RangeNotSatisfiable, match="more than 16"):
        parse_range(apart(RANGES_MAX + 1), 1000)
    assert parse_range(b"bytes=" + b"0-1," * 500, 1000) == [(0, 2)]


def test_a_header_of_thousands_is_not_looked_at() -> None:
    """Before merging there is a limit too."""
    with pytest.raises(RangeNotSatisfiable, match="too many"):
        parse_range(b"bytes=" + b"0-1," * 5000, 1000)


def test_numbers_without_end() -> None:
    """Digits beyond every size cost nothing and mean: behind the end."""
    many = b"9" * 10_000
    assert parse_range(b"bytes=2-" + many, 10) == [(2, 8)]
    assert parse_range(b"bytes=-" + many, 10) == [(0, 10)]
    with pytest.raises(RangeNotSatisfiable):
        parse_range(b"bytes=" + many + b"-", 10)


@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 60)).map(sorted), min_size=1, max_size=10
    ),
    st.integers(1, 50),
)
def test_spans_cover_exactly_what_was_asked(asked: list[list[int]], size: int) -> None:
    """Whatever the ranges: the same bytes, each once, never touching, in the order asked for."""
    wanted = {at for first, last in asked for at in range(first, min(last + 1, size))}
    header = b"bytes=" + b",".join(b"%d-%d" % (first, last) for first, last in asked)
    if not wanted:
        with pytest.raises(RangeNotSatisfiable):
            parse_range(header, size)
        return
    spans = parse_range(header, size)
    assert spans is not None
    covered = [at for start, length in spans for at in range(start, start + length)]
    assert sorted(covered) == sorted(wanted)
    assert all(a.start + a.length < b.start for a, b in pairwise(sorted(spans)))
    firsts = [first for first, _ in asked if first < size]
    ranks = [
        next(rank for rank, first in enumerate(firsts) if start <= first < start + length)
        for start, length in spans
    ]
    assert ranks == sorted(ranks)
