"""Preconditions."""

from __future__ import annotations

import pytest

from juststorage.domain import UNCONDITIONAL, ContentHash
from juststorage.errors import Invalid
from juststorage_api._http.conditions import Outcome, judge_read, range_applies, write_conditions

ONE = ContentHash("sha256:" + "1" * 64)
TWO = ContentHash("sha256:" + "2" * 64)
TAG = f'"{ONE}"'.encode()
MODIFIED = 784_111_777
DATE = b"Sun, 06 Nov 1994 08:49:37 GMT"
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, Outcome.GO),
        ({b"if-match": TAG}, Outcome.GO),
        ({b"if-match": b" * "}, Outcome.GO),
        ({b"if-match": b"W/" + TAG}, Outcome.FAILED),
        ({b"if-match": b'"", "x"'}, Outcome.FAILED),
        ({b"if-none-match": b"W/" + TAG}, Outcome.NOT_MODIFIED),
        ({b"if-none-match": b',, "a,b" ,W/"c", ' + TAG + b" ,"}, Outcome.NOT_MODIFIED),
        ({b"if-none-match": b'"a"'}, Outcome.GO),
        ({b"if-unmodified-since": EARLIER}, Outcome.FAILED),
        ({b"if-unmodified-since": DATE}, Outcome.GO),
        ({b"if-match": TAG, b"if-unmodified-since": EARLIER}, Outcome.GO),
        ({b"if-modified-since": DATE}, Outcome.NOT_MODIFIED),
        ({b"if-modified-since": EARLIER}, Outcome.GO),
        ({b"if-none-match": b'"a"', b"if-modified-since": DATE}, Outcome.GO),
        ({b"if-modified-since": b"soon", b"if-unmodified-since": b"late"}, Outcome.GO),
    ],
)
def test_reads(fields: dict[bytes, bytes], outcome: Outcome) -> None:
    """RFC 9110, 13.2.2, step by step."""
    assert judge_read(fields, TAG, MODIFIED) is outcome


MALFORMED = [b"", b" ", b",", b"x", b'"', b'"a', b'a"', b'"a" "b"', b'w/"a"', b'W/ "a"', b'*, "a"',
             b'"a"; "b"', b'"a\x7f"', b'"a", b']  # fmt: skip


@pytest.mark.parametrize("text", MALFORMED)
@pytest.mark.parametrize("name", [b"if-match", b"if-none-match"])
def test_malformed_lists(name: bytes, text: bytes) -> None:
    """A typo is heard, on reads and writes."""
    with pytest.raises(Invalid, match=r"If-(None-)?Match"):
        judge_read({name: text}, TAG, MODIFIED)
    with pytest.raises(Invalid, match=r"If-(None-)?Match"):
        write_conditions({name: text})


def test_writes_without_conditions() -> None:
    """Nothing asked, nothing built."""
    assert write_conditions({}) is UNCONDITIONAL
    assert write_conditions({b"if-modified-since": DATE}) is UNCONDITIONAL


def test_star_is_empty() -> None:
    """As `Conditions` has it."""
    assert write_conditions({b"if-match": b"*"}).if_match == frozenset()
    assert write_conditions({b"if-none-match": b"*"}).if_none_match == frozenset()


def test_tags_become_hashes() -> None:
    """Weak tags count for If-None-Match only."""
    listed = b'%b, W/"%b", "else"' % (TAG, TWO.encode())
    assert write_conditions({b"if-match": listed}).if_match == {ONE}
    assert write_conditions({b"if-none-match": listed}).if_none_match == {ONE, TWO}


@pytest.mark.parametrize("text", [b'"x"', b'""', b'W/"sha256:' + b"1" * 64 + b'"', b'"\xe4"'])
def test_tags_that_no_content_has_are_not_a_star(text: bytes) -> None:
    """A condition that nothing can meet never holds, and does not turn into `anything`."""
    conditions = write_conditions({b"if-match": text})
    assert not conditions.hold_for(ONE)
    assert not conditions.hold_for(None)


def test_if_none_match_of_unknown_tags_holds() -> None:
    """None of them is there, so the write goes on."""
    conditions = write_conditions({b"if-none-match": b'"x"'})
    assert conditions.hold_for(ONE)
    assert conditions.hold_for(None)


def test_times_are_refused_on_writes() -> None:
    """To ignore it could lose an update."""
    with pytest.raises(Invalid, match="use If-Match"):
        write_conditions({b"if-unmodified-since": DATE})


@pytest.mark.parametrize(
    ("if_range", "age_s", "applies"),
    [
        (None, 0, True),
        (TAG, 0, True),
        (b"W/" + TAG, 9, False),
        (b'"x"', 9, False),
        (DATE, 1, True),
        (DATE, 0.5, False),
        (EARLIER, 9, False),
        (b"rubbish", 9, False),
        (b"", 9, False),
        (b"*", 9, False),
    ],
)
def test_if_range(if_range: bytes | None, age_s: float, applies: bool) -> None:
    """Strong comparison for tags; dates must be equal and a second old."""
    assert range_applies(if_range, TAG, MODIFIED, MODIFIED + age_s) is applies
