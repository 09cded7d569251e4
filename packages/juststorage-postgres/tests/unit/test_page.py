"""The texts of pages: bounds of a prefix, and filters that nothing can match."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage.domain import Namespace, Position, Query, SortBy, TenantId
from juststorage_postgres._page import prefix_end, statements_of

TENANT = TenantId("t")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("prefix", "end"),
    [
        ("a", "b"),
        ("a/", "a0"),
        ("\ud7ff", "\ue000"),
        ("a\U0010ffff", "b"),
        ("\U0010ffff\U0010ffff", None),
        ("", None),
    ],
)
def test_the_end_of_a_prefix(prefix: str, end: str | None) -> None:
    """The next text after all that begin with it: over surrogates, and carrying at the last one."""
    assert prefix_end(prefix) == end


_texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=4)


@given(_texts, _texts)
def test_a_prefix_and_its_end_enclose_what_begins_with_it(prefix: str, text: str) -> None:
    """In the order of UTF-8 bytes, which is that of the index."""
    end = prefix_end(prefix)
    inside = prefix.encode() <= text.encode() and (end is None or text.encode() < end.encode())
    assert inside == text.startswith(prefix)


@pytest.mark.parametrize(
    "query",
    [
        Query(tenant_id=TENANT, key_prefix="a\x00"),
        Query(tenant_id=TENANT, key_contains="\ud800"),
        Query(tenant_id=TENANT, content_type="a/\x00"),
        Query(tenant_id=TENANT, metadata={"a\x00": 1}),
        Query(tenant_id=TENANT, metadata={"a": "\x00"}),
        Query(tenant_id=TENANT, metadata={"a": float("nan")}),
        Query(tenant_id=TENANT, metadata={"a": float("inf")}),
    ],
)
def test_filters_that_match_nothing(query: Query) -> None:
    """What PostgreSQL cannot even be asked is an empty page, not an error."""
    assert list(statements_of(query)) == []


@pytest.mark.parametrize("sort_by", list(SortBy))
@pytest.mark.parametrize("namespaces", [None, frozenset([Namespace("n")])])
def test_values_are_arguments(sort_by: SortBy, namespaces: frozenset[Namespace] | None) -> None:
    """No value of a query is ever part of a statement's text."""
    query = Query(
        tenant_id=TenantId("te-nant"),
        namespaces=namespaces,
        key_prefix="pre'fix",
        key_contains="in'side",
        content_type="ty'pe/*",
        size_min=4711,
        created_from=NOW,
        metadata={"pa'th.x": "va'lue"},
        sort_by=sort_by,
        after=Position("k'ey" if sort_by is SortBy.KEY else 4712, "the-id"),
    )
    for statement, arguments in statements_of(query):
        for value in ("te-nant", "pre'fix", "in'side", "ty'pe", "4711", "2026", "pa'th", "k'ey"):
            assert value not in statement
        assert f"${len(arguments) + 1}" in statement
        assert f"${len(arguments) + 2}" not in statement


def test_parts_of_a_list_by_key() -> None:
    """Keyed first when ascending, last when descending; a page starts in the part of its cursor."""

    def parts(descending: bool, after: Position | None) -> list[bool]:
        query = Query(tenant_id=TENANT, sort_by=SortBy.KEY, descending=descending, after=after)
        return ["o.key IS NOT NULL" in statement for statement, _ in statements_of(query)]

    keyed, keyless = Position("k", "i"), Position(None, "i")
    assert parts(False, None) == [True, False] and parts(True, None) == [False, True]
    assert parts(False, keyed) == [True, False] and parts(True, keyed) == [True]
    assert parts(False, keyless) == [False] and parts(True, keyless) == [False, True]
