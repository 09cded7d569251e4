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
    texts = (query.key_prefix, query.key_contains, query.content_type)
    metadata = (each for pair in query.metadata.items() for each in pair)
    if not all(is_text(each) for each in (*texts, *metadata) if isinstance(each, str)):
        return  # not Unicode, so nothing that is stored equals it
    wheres, values = conditions(query)
    if query.sort_by is not SortBy.KEY:
        yield _statement(query.sort_by.value, wheres, values, query, query.after)
        return
    after = query.after
    for region in _regions(query):
        column = "key" if region is _KEYED else "id"
        yield _statement(column, [*wheres, region], values, query, after)
        after = None


_KEYED: Final = "o.key IS NOT NULL"
_KEYLESS: Final = "o.key IS NULL"


def _regions(query: Query) -> list[str]:
    """The regions of an order by key, from the one that the position is in."""
    regions = [_KEYLESS, _KEYED] if query.descending else [_KEYED, _KEYLESS]
    if query.key_prefix is not None or query.key_contains is not None:
        regions.remove(_KEYLESS)
    if query.after is not None:
        regions = regions[regions.index(_KEYLESS if query.after.value is None else _KEYED) :]
    return regions


def _statement(
    column: str, wheres: list[str], values: dict[str, Any], query: Query, after: Position | None
) -> tuple[str, dict[str, Any]]:
    """The objects in the order of the column, then the id, behind the position."""
    direction, beyond = ("DESC", "<") if query.descending else ("ASC", ">")
    columns = ["o.id"] if column == "id" else [f"o.{column}", "o.id"]
    if after is not None:
        edge = [":after_value", ":after_id"][-len(columns) :]
        wheres = [*wheres, f"({', '.join(columns)}) {beyond} ({', '.join(edge)})"]
        value = to_micros(after.value) if isinstance(after.value, datetime) else after.value
        values = {**values, "after_value": value, "after_id": after.id}
    order = ", ".join(f"{each} {direction}" for each in columns)
    source = (
        f"SELECT {OBJECT_COLUMNS} FROM objects o WHERE {' AND '.join(wheres)}"
        f" ORDER BY {order} LIMIT :limit"
    )
    return json_rows(_PLAIN_COLUMNS, source), values
