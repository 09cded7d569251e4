"""Filters as SQL: literal, exact, and safe with every text."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage.domain import Query, TenantId
from juststorage_sqlite._filters import add_functions, behind_prefix, conditions, is_text

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
EDGES = st.text(st.sampled_from("a\U0010ffff\ud7ff\ue000\uffff\U00010000"), max_size=4)


@given(prefix=TEXT | EDGES, rest=TEXT | EDGES)
def test_everything_with_the_prefix_is_in_the_range(prefix: str, rest: str) -> None:
    """What starts with a prefix lies between it and what is behind it, in UTF-8 bytes."""
    text, behind = (prefix + rest).encode(), behind_prefix(prefix)
    assert prefix.encode() <= text
    assert behind is None or text < behind.encode()


@given(prefix=TEXT | EDGES, text=TEXT | EDGES)
def test_nothing_else_is_in_the_range(prefix: str, text: str) -> None:
    """What does not start with the prefix lies outside."""
    behind = behind_prefix(prefix)
    inside = prefix.encode() <= text.encode() and (behind is None or text < behind)
    assert inside == text.startswith(prefix)


def test_lone_surrogates_are_no_text() -> None:
    """What cannot be encoded is told apart, before a driver trips over it."""
    assert is_text("ü\U0010ffff")
    assert not is_text("a\ud800")


METADATA = (
    '{"one":1,"real":1.0,"yes":true,"text":"1","none":null,"big":1180591620717411303424,'
    '"third":0.3333333333333333,"in":{"a.b":1,"q\\"uo\\\\te":"x","list":[1],"deep":{"x":2}},'
    '"edge":9007199254740993}'
)


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        ("one", 1, True),
        ("one", 1.0, True),
        ("one", True, False),
        ("one", "1", False),
        ("one", None, False),
        ("real", 1, True),
        ("yes", True, True),
        ("yes", 1, False),
        ("yes", False, False),
        ("text", "1", True),
        ("text", 1, False),
        ("none", None, True),
        ("none", False, False),
        ("absent", None, False),
        ("big", 2**70, True),
        ("big", 2**70 + 1, False),
        ("edge", 2**53 + 1, True),
        ("edge", 2**53 + 2, False),
        ("third", 1 / 3, True),
        ("in", None, False),
        ("in.deep.x", 2, True),
        ("in.deep.x.y", 2, False),
        ("text.x", "1", False),
        ("text.x", 1.5, False),
        ("in.list.0", 1, False),
        ('in.q"uo\\te', "x", True),
        ("in.a.b", 1, False),
        ("", 1, False),
        ("one' OR 1=1 --", 1, False),
    ],
)
def test_metadata_equal_in_type_and_value(path: str, value: Any, found: bool) -> None:
    """JSON types stay apart (1, true, "1", null), numbers are exact, and names are only names."""
    wheres, values = conditions(Query(tenant_id=TenantId("acme"), metadata={path: value}))
    db = sqlite3.connect(":memory:")
    add_functions(db)
    row = db.execute(
        f"SELECT {wheres[-1]} FROM (SELECT :document AS metadata) AS o",
        {**values, "document": METADATA},
    ).fetchone()
    db.close()
    assert bool(row[0]) is found
