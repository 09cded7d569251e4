"""What is said of an object that has just been stored: to its client, and to the audit log."""

from __future__ import annotations

from juststorage.domain import StoredObject
from juststorage.ports import Committed
from juststorage_api._dto import location_of
from juststorage_api._exchange import Exchange
from juststorage_api._http.problem import Headers

__all__ = ["note_stored", "stored_headers"]


def note_stored(exchange: Exchange, committed: Committed) -> None:
    """Note that it is durable; before the answer, which may fail."""
    stored = committed.object
    if committed.is_repeated:
        return
    exchange.did(
        "object.created" if committed.replaced is None else "object.replaced",
        object_id=str(stored.id),
        namespace=str(stored.namespace),
        content_hash=str(stored.content_hash),
        **({} if committed.replaced is None else {"replaced": str(committed.replaced)}),
    )


def stored_headers(exchange: Exchange, stored: StoredObject) -> Headers:
    """Where the caller finds it, and its entity tag."""
    return [
        (b"location", location_of(exchange.caller, stored).encode()),
        (b"etag", b'"%b"' % (stored.content_hash or "").encode()),
    ]
