"""Cursors: what a client carries and cannot change."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import msgspec
import pytest

from juststorage.domain import ObjectId, Position, Query, SortBy, TenantId
from juststorage.errors import InvalidCursor
from juststorage.usecases import CursorCodec

QUERY = Query(tenant_id=TenantId("acme"), key_prefix="a/")
AT = Position(datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), ObjectId.new())


@pytest.mark.parametrize(
    ("sort_by", "value"),
    [
        (SortBy.CREATED_AT, datetime(1969, 12, 31, 23, 59, 59, 999999, UTC)),
        (SortBy.UPDATED_AT, datetime(2099, 12, 31, 23, 59, 59, 1, UTC)),
        (SortBy.SIZE_BYTES, 2**40),
        (SortBy.KEY, "schlüssel/\U0001f511"),
        (SortBy.KEY, None),
    ],
)
def test_a_position_survives_the_round_trip(sort_by: SortBy, value: object) -> None:
    """Whatever a page ended at is where the next one begins, to the microsecond."""
    query = msgspec.structs.replace(QUERY, sort_by=sort_by)
    position = Position(value, ObjectId.new())  # type: ignore[arg-type]
    codec = CursorCodec(b"s" * 32)
    assert codec.decode(codec.encode(position, query), query) == position


def test_the_limit_may_change_between_pages() -> None:
    """Only what selects and orders is bound; the page size is not."""
    codec = CursorCodec(b"s" * 32)
    cursor = codec.encode(AT, QUERY)
    assert codec.decode(cursor, msgspec.structs.replace(QUERY, limit=7, after=AT)) == AT


@pytest.mark.parametrize(
    "other",
    [
        msgspec.structs.replace(QUERY, tenant_id=TenantId("other")),
        msgspec.structs.replace(QUERY, key_prefix="b/"),
        msgspec.structs.replace(QUERY, descending=False),
        msgspec.structs.replace(QUERY, metadata={"a": 1}),
    ],
)
def test_a_cursor_of_another_query_is_refused(other: Query) -> None:
    """A cursor works for the tenant and the query that it came from."""
    codec = CursorCodec(b"s" * 32)
    with pytest.raises(InvalidCursor):
        codec.decode(codec.encode(AT, QUERY), other)


def test_a_cursor_of_another_store_is_refused() -> None:
    """Another secret, another signature."""
    with pytest.raises(InvalidCursor):
        CursorCodec(b"t" * 32).decode(CursorCodec(b"s" * 32).encode(AT, QUERY), QUERY)


def test_every_changed_byte_is_noticed() -> None:
    """No bit of a cursor can be changed."""
    codec = CursorCodec(b"s" * 32)
    raw = bytearray(base64.urlsafe_b64decode(codec.encode(AT, QUERY) + "=="))
    for index in range(len(raw)):
        raw[index] ^= 1
        with pytest.raises(InvalidCursor):
            codec.decode(base64.urlsafe_b64encode(raw).decode().rstrip("="), QUERY)
        raw[index] ^= 1


@pytest.mark.parametrize("text", ["x", "!!!!", "é", "A" * 9000, "AAAA", "=", "a b", "\x00"])
def test_what_is_no_cursor_is_refused(text: str) -> None:
    """Anything else is invalid, never a crash."""
    with pytest.raises(InvalidCursor):
        CursorCodec(b"s" * 32).decode(text, QUERY)
