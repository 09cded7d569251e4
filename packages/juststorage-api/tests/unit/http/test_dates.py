"""HTTP dates."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage_api._http.dates import format_date, parse_date

MOMENT = 784_111_777


@pytest.mark.parametrize(
    "text",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
    ],
)
def test_the_three_forms(text: bytes) -> None:
    """RFC 9110 has one form to write and two more to read."""
    assert parse_date(text) == MOMENT


@pytest.mark.parametrize(
    "text",
    [b"", b"yesterday", b"Sun, 06 Nov 1994 08:49:37", b"Sun, 06 Nov 1994 08:49:37 CET",
     b"Sun, 06 Nov 1994 08:49:37 +0100", b"Sun, 32 Nov 1994 08:49:37 GMT", b"784111777",
     b"Sun, 06 Xxx 1994 08:49:37 GMT", b"Sun, 06 Nov 1994 24:49:37 GMT", b"1994-11-06T08:49:37Z",
     b"Sun, 06 Nov 0000 08:49:37 GMT", b"\xff"],
)  # fmt: skip
def test_what_is_no_date_is_none(text: bytes) -> None:
    """A recipient ignores it, so it is no error."""
    assert parse_date(text) is None


def test_a_leap_second_is_a_date() -> None:
    """It counts as the second before it."""
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == parse_date(
        b"Sat, 31 Dec 2016 23:59:59 GMT"
    )


def test_a_year_of_two_digits() -> None:
    """It is of this century, or of the last from 70 on."""
    assert format_date(parse_date(b"Monday, 06-Nov-34 08:49:37 GMT") or 0).split()[3] == b"2034"


@given(st.integers(0, 253_402_300_799))
def test_what_is_written_is_read(seconds: int) -> None:
    """Every second until the year 9999."""
    assert parse_date(format_date(seconds)) == seconds
