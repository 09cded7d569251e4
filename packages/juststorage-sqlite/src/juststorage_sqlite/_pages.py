"""Pages: a query as SQL.

Filters are conditions with parameters; the order is an index wherever one fits, entered behind the
position where the last page ended. Objects without a key form a region of their own when sorting by
key: it is read when the other one is used up, so that each region keeps to its index.
"""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from juststorage.domain import Page, Position, Query, SortBy, StoredObject
from juststorage_sqlite._filters import conditions, is_text
from juststorage_sqlite._rows import OBJECT_COLUMNS, json_rows, objects_of
from juststorage_sqlite._times import to_micros

__all__ = ["page", "statements"]

_PLAIN_COLUMNS: Final = OBJECT_COLUMNS.replace("o.", "")


def page(db: sqlite3.Connection, query: Query) -> Page:
    """One page and one object more, to know whether there is a next."""
    found: list[StoredObject] = []
    for statement, values in statements(query):
        (rows,) = db.execute(
            statement, {**values, "limit": query.limit + 1 - len(found)}
        ).fetchone()
        found += objects_of(rows)
        if len(found) > query.limit:
            last = found[query.limit - 1]
            value = getattr(last, query.sort_by.value)
            return Page(found[: query.limit], Position(value, last.id))
    return Page(found, None)


def statements(query: Query) -> Iterator[tuple[str, dict[str, Any]]]:
    """The statements that list the query's objects, to be run in order until there are enough.

    Each takes the values beside it and `limit`.
    """
    texts = (query.key_prefix, query.key_contains, query.content_type, *query.metadata)
    if not all(is_text(each) for each in texts if each is not None):
        return  # not Unicode, so nothing that is stored equals it
    wheres, values = conditions(query)
    if query.sort_by is not SortBy.KEY:
        yield _statement(query, query.sort_by.value, wheres, values)
        return
    regions = ["o.key IS NULL", "o.key IS NOT NULL"]
    if not query.descending:
        regions.reverse()
    if query.after is not None and (query.after.value is None) is (
        regions[0] == "o.key IS NOT NULL"
    ):
        regions = regions[1:]  # the position is in the second region
    for number, region in enumerate(regions):
        column = "id" if region == "o.key IS NULL" else "key"
        after = query.after if number == 0 else None
        yield _statement(query, column, [*wheres, region], values, after=after)


_UNSET: Final = Position(None, "")


def _statement(
    query: Query,
    column: str,
    wheres: list[str],
    values: dict[str, Any],
    *,
    after: Position | None = _UNSET,
) -> tuple[str, dict[str, Any]]:
    direction, beyond = ("DESC", "<") if query.descending else ("ASC", ">")
    if after is _UNSET:
        after = query.after
    if after is not None:
        position = "o.id" if column == "id" else f"(o.{column}, o.id)"
        edge = ":after_id" if column == "id" else "(:after_value, :after_id)"
        wheres = [*wheres, f"{position} {beyond} {edge}"]
        value = to_micros(after.value) if isinstance(after.value, datetime) else after.value
        values = {**values, "after_value": value, "after_id": after.id}
    order = f"o.id {direction}" if column == "id" else f"o.{column} {direction}, o.id {direction}"
    source = (
        f"SELECT {OBJECT_COLUMNS} FROM objects o WHERE {' AND '.join(wheres)}"
        f" ORDER BY {order} LIMIT :limit"
    )
    return json_rows(_PLAIN_COLUMNS, source), values
