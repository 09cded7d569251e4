"""ListObjects: a page at a time."""

from __future__ import annotations

import msgspec

from juststorage.domain import PAGE_SIZE_MAX, Query, StoredObject
from juststorage.errors import Invalid
from juststorage.ports import MetadataStore
from juststorage.usecases._cursor import CursorCodec

__all__ = ["ListObjects", "Listing"]


class Listing(msgspec.Struct, frozen=True):
    """A page, and the cursor of the next one; None on the last page."""

    objects: list[StoredObject]
    next_cursor: str | None


class ListObjects:
    """Committed objects in order, with a cursor. Cost: one statement, the same at any depth."""

    def __init__(self, metadata: MetadataStore, cursors: CursorCodec) -> None:
        self._objects = metadata.objects
        self._cursors = cursors

    async def page(self, query: Query, *, cursor: str | None) -> Listing:
        """The page of `query` that begins where `cursor` says.

        Raises:
            InvalidCursor: The cursor is forged, damaged, or of another query.
            Invalid: The limit is not 1 to 1000.
        """
        if not 1 <= query.limit <= PAGE_SIZE_MAX:
            raise Invalid(f"limit must be 1 to {PAGE_SIZE_MAX}")
        if cursor:
            query = msgspec.structs.replace(query, after=self._cursors.decode(cursor, query))
        page = await self._objects.page(query)
        following = None if page.next is None else self._cursors.encode(page.next, query)
        return Listing(page.objects, following)
