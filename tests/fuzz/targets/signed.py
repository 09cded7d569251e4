"""What the service has signed and clients bring back: cursors, and tickets of resumable uploads.

There are no other URLs with a signature. Beside crashes this looks for forgeries: what is accepted
means what was signed, however it is spelt.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from juststorage.domain import (
    Conditions,
    ContentHash,
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    Position,
    Query,
    SortBy,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.ports import Lease, UploadIntent
from juststorage.usecases._cursor import CursorCodec
from juststorage.usecases._upload_ticket import TicketCodec, UploadTicket
from tests.fuzz.fuzzing import Target
from tests.fuzz.inputs import text_near

__all__ = ["TARGETS"]

_SECRET = b"nobody knows"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ID = "0190163d-8694-739b-aea5-966c26f8ad91"
_BASE64 = ["=", "==", "-", "_", "+", "/", "A", "AAAA", "gAAA", "W10", "ä", "%", " ", "\n", "\0"]

_cursors = CursorCodec(_SECRET)
_QUERIES = [
    Query(tenant_id=TenantId("acme")),
    Query(tenant_id=TenantId("other")),
    Query(tenant_id=TenantId("acme"), sort_by=SortBy.SIZE_BYTES),
    Query(tenant_id=TenantId("acme"), sort_by=SortBy.KEY, key_prefix="a"),
]
_POSITIONS = [
    Position(_EPOCH + timedelta(microseconds=1), _ID),
    Position(_EPOCH, _ID),
    Position(5, _ID),
    Position("a/b", _ID),
]
_GOOD_CURSORS = [
    _cursors.encode(position, query) for position, query in zip(_POSITIONS, _QUERIES, strict=True)
]


def read_cursor(value: tuple[str, int, int | str | None]) -> str | None:
    """A position survives; of other cursors only those of the same query are read, as they were."""
    text, number, at = value
    query = _QUERIES[number]
    is_time = query.sort_by is SortBy.CREATED_AT and isinstance(at, int)
    position = Position(_EPOCH + timedelta(microseconds=at) if is_time else at, _ID)
    assert _cursors.decode(_cursors.encode(position, query), query) == position
    assert _cursors.decode(text, query) == _POSITIONS[number]
    return None


_CURSORS = st.tuples(
    text_near(_GOOD_CURSORS, _BASE64) | st.sampled_from(_GOOD_CURSORS),
    st.integers(0, len(_QUERIES) - 1),
    st.none() | st.integers(-(10**15), 2 * 10**17) | st.text(max_size=20).filter(str.isprintable),
)

_tickets = TicketCodec(_SECRET)


def _ticket(key: str | None, conditions: Conditions, size: int) -> UploadTicket:
    new = NewObject(
        id=ObjectId(_ID),
        namespace=Namespace("docs"),
        tenant_id=TenantId("acme"),
        key=None if key is None else ObjectKey(key),
        storage_class=StorageClass.COLD,
    )
    intent = UploadIntent(new=new, replace=key is not None, conditions=conditions)
    lease = Lease(intent=intent, object=StoredObject.begin(new, _EPOCH), epoch=3)
    return UploadTicket(lease=lease, size_bytes=size, expected=(ContentHash.of("x", bytes(16)),))


_GOOD_TICKETS = [
    _ticket("ä/b", Conditions(if_none_match=frozenset()), 5),
    _ticket(None, Conditions(if_match=frozenset({ContentHash.of("sha256", bytes(32))})), 2**40),
]
_TICKETS = [_tickets.encode(each) for each in _GOOD_TICKETS]


def read_ticket(value: str) -> str | None:
    """Those that were made are read as they were; a cursor is none, signed with the same secret."""
    found = _tickets.decode(value)
    assert found in _GOOD_TICKETS
    assert _tickets.decode(_tickets.encode(found)) == found
    return None


TARGETS = {
    "cursor": Target(_CURSORS, read_cursor),
    "ticket": Target(
        text_near([*_TICKETS, *_GOOD_CURSORS], _BASE64) | st.sampled_from(_TICKETS), read_ticket
    ),
}
