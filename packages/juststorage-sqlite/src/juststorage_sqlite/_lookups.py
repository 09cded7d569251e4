"""Look-ups of single objects: one statement for all that wait."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

from juststorage.domain import Namespace, ObjectId, ObjectKey, StoredObject, TenantId
from juststorage_sqlite._rows import OBJECT_COLUMNS, as_json, json_rows, objects_of

__all__ = ["ByKey", "look_up"]

ByKey: TypeAlias = "tuple[TenantId, Namespace, ObjectKey]"

_COLUMNS: Final = f"{OBJECT_COLUMNS.replace('o.', '')}, locator"
_BLOB: Final = (
    "LEFT JOIN blobs b ON b.content_hash = o.blob_hash AND b.storage_class = o.storage_class"
)
_BY_ID: Final = json_rows(
    _COLUMNS,
    f"SELECT {OBJECT_COLUMNS}, b.locator FROM json_each(?) AS ids"
    f" CROSS JOIN objects o ON o.id = ids.value {_BLOB} WHERE o.status = 'COMMITTED'",
)
_BY_KEY: Final = json_rows(
    _COLUMNS,
    f"SELECT {OBJECT_COLUMNS}, b.locator FROM json_each(?) AS names"
    " CROSS JOIN objects o ON o.tenant_id = json_extract(names.value, '$[0]')"
    " AND o.namespace = json_extract(names.value, '$[1]')"
    f" AND o.key = json_extract(names.value, '$[2]') {_BLOB} WHERE o.status = 'COMMITTED'",
)


def look_up(
    db: sqlite3.Connection, items: Sequence[tuple[TenantId, ObjectId] | ByKey]
) -> list[StoredObject | None]:
    """The COMMITTED object of each (tenant, id) or (tenant, namespace, key), or None."""
    ids = {item[1] for item in items if len(item) == 2}
    names = {item for item in items if len(item) == 3}
    found: dict[Any, StoredObject] = {}
    if ids:
        for each in _found(db, _BY_ID, list(ids)):
            found[each.tenant_id, each.id] = each
    if names:
        for each in _found(db, _BY_KEY, list(names)):
            found[each.tenant_id, each.namespace, each.key] = each
    return [found.get(item) for item in items]


def _found(db: sqlite3.Connection, statement: str, asked: list[Any]) -> list[StoredObject]:
    (rows,) = db.execute(statement, (as_json(asked),)).fetchone()
    return objects_of(rows)
