"""Query strings."""

from __future__ import annotations

import pytest

from juststorage.errors import Invalid
from juststorage_api._http.query import parse_query, shown

ALLOWED = frozenset({"a", "b"})


@pytest.mark.parametrize(
    ("query", "parameters"),
    [
        (b"", {}),
        (b"a=1", {"a": "1"}),
        (b"a=1&b=2", {"a": "1", "b": "2"}),
        (b"a", {"a": ""}),
        (b"a=", {"a": ""}),
        (b"a=x=y", {"a": "x=y"}),
        (b"&&a=1&", {"a": "1"}),
        (b"%61=%26+%2B", {"a": "& +"}),
        (b"a=;b", {"a": ";b"}),
    ],
)
def test_reads_parameters(query: bytes, parameters: dict[str, str]) -> None:
    """Names and values are decoded after they were split."""
    assert dict(parse_query(query, ALLOWED)) == parameters


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (b"c=1", "unknown query parameter 'c'; this call knows: a, b"),
        (b"A=1", "unknown query parameter 'A'"),
        (b"=1", "unknown query parameter ''"),
        (b"a=1&a=1", "the query parameter a is repeated"),
        (b"a=1&%61=2", "the query parameter a is repeated"),
        (b"a=%", "malformed"),
        (b"a=%FF", "not UTF-8"),
        (b"%FF=a", "not UTF-8"),
        (b"a[]=1", "unknown query parameter 'a\\[\\]'"),
    ],
)
def test_refuses(query: bytes, words: str) -> None:
    """Unknown, repeated and malformed parameters are told apart in words."""
    with pytest.raises(Invalid, match=words):
        parse_query(query, ALLOWED)


def test_a_call_without_parameters_says_so() -> None:
    """The list of known names is never an empty phrase."""
    with pytest.raises(Invalid, match="knows: none"):
        parse_query(b"a=1", frozenset())


def test_what_is_shown_is_short_and_plain() -> None:
    """A client's text comes back quoted, in ASCII and cut."""
    assert shown("ä\n") == r"'\xe4\n'"
    assert len(shown("x" * 10_000)) < 80
