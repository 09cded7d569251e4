"""The filters of a query as SQL conditions. Every value is a parameter; no text is spliced."""

# ruff: noqa: S608 - statements are put together from constants; values are parameters

from __future__ import annotations

import sqlite3
from typing import Any, Final

import msgspec

from juststorage.domain import Query
from juststorage_sqlite._rows import names_json
from juststorage_sqlite._times import to_micros

__all__ = ["add_functions", "behind_prefix", "conditions", "is_text"]

_Values = dict[str, Any]
# Integers up to here are what they are as doubles too, so SQLite compares them exactly.
_EXACT_MAX: Final = 2**53
_decode: Final = msgspec.json.Decoder().decode


def conditions(query: Query) -> tuple[list[str], _Values]:
    """What holds for the objects of the query, its position aside."""
    values: _Values = {"tenant_id": query.tenant_id}
    # A plus keeps the planner from an index on that column. It knows nothing of the rows, and would
    # walk a tenant's objects in order rather than seek the few of one content and sort them.
    seeks_content = query.content_hash is not None
    wheres = [f"{'+' * seeks_content}o.tenant_id = :tenant_id", "o.status = 'COMMITTED'"]
    for where, named in (*_simple(query), *_texts(query)):
        wheres.append(where)
        values.update(named)
    for number, (path, value) in enumerate(query.metadata.items()):
        wheres.append(_metadata(f"m{number}", path, value, values))
    return wheres, values


def _simple(query: Query) -> list[tuple[str, _Values]]:
    found: list[tuple[str, _Values]] = []
    if query.namespaces is not None and any(each.endswith("*") for each in query.namespaces):
        # Names have none of the characters that GLOB reads as more than themselves.
        within = "SELECT 1 FROM json_each(:namespaces) AS n WHERE o.namespace GLOB n.value"
        found.append((f"EXISTS ({within})", {"namespaces": names_json(query.namespaces)}))
    elif query.namespaces is not None and len(query.namespaces) == 1:
        found.append(("o.namespace = :namespace", {"namespace": next(iter(query.namespaces))}))
    elif query.namespaces is not None:
        # With a plus too: seeking each namespace would cost the order.
        found.append(
            (
                "+o.namespace IN (SELECT value FROM json_each(:namespaces))",
                {"namespaces": names_json(query.namespaces)},
            )
        )
    if query.storage_class is not None:
        found.append(("o.storage_class = :storage_class", {"storage_class": query.storage_class}))
    if query.content_hash is not None:
        # Of a COMMITTED object both are the same; blob_hash is the one with an index.
        found.append(("o.blob_hash = :content_hash", {"content_hash": query.content_hash}))
    for name, where, value in (
        ("size_min", "o.size_bytes >= :size_min", query.size_min),
        ("size_max", "o.size_bytes <= :size_max", query.size_max),
        ("created_from", "o.created_at >= :created_from", query.created_from),
        ("created_to", "o.created_at < :created_to", query.created_to),
    ):
        if value is not None:
            found.append((where, {name: value if isinstance(value, int) else to_micros(value)}))
    return found


def _texts(query: Query) -> list[tuple[str, _Values]]:
    found: list[tuple[str, _Values]] = []
    if query.key_prefix is not None:
        found.append(_prefix("key", query.key_prefix))
    if query.key_contains is not None:
        found.append(("instr(o.key, :key_contains) > 0", {"key_contains": query.key_contains}))
    if query.content_type is not None and query.content_type.endswith("/*"):
        found.append(_prefix("content_type", query.content_type[:-1]))
    elif query.content_type is not None:
        found.append(("o.content_type = :content_type", {"content_type": query.content_type}))
    return found


# -- prefixes as ranges -----------------------------------------------------------------------


def _prefix(column: str, prefix: str) -> tuple[str, _Values]:
    values: _Values = {f"{column}_from": prefix}
    where = f"o.{column} >= :{column}_from"
    behind = behind_prefix(prefix)
    if behind is not None:
        where += f" AND o.{column} < :{column}_behind"
        values[f"{column}_behind"] = behind
    return where, values


def behind_prefix(prefix: str) -> str | None:
    """The first text behind all that start with `prefix`; None where there is no such text.

    UTF-8 bytes order as code points do, so it is the prefix with its last code point raised by one:
    over the surrogates, which no text has, and with a carry from the last of all code points.
    """
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    last = ord(kept[-1])
    return kept[:-1] + chr(0xE000 if last == 0xD7FF else last + 1)


def is_text(text: str) -> bool:
    """Whether the text has an encoding; what has none is nowhere in the database."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# -- metadata ---------------------------------------------------------------------------------


def _metadata(name: str, path: str, value: Any, values: _Values) -> str:
    """Equal in JSON type and value at a dotted path.

    A chain of json_each, one for each step, because SQLite's path syntax cannot quote every name.
    Numbers that a double does not hold exactly are compared in Python: SQLite would read them as
    doubles, and its reading of decimals may be off by the last bit.
    """
    if isinstance(value, float) or (type(value) is int and abs(value) > _EXACT_MAX):
        values[f"{name}_path"] = path
        values[f"{name}_value"] = msgspec.json.encode(value).decode()
        return f"metadata_equals(o.metadata, :{name}_path, :{name}_value)"
    document, tables, found = "o.metadata", [], []
    for number, step in enumerate(path.split(".")):
        each = f"{name}_{number}"
        tables.append(f"json_each({document}) AS {each}")
        found.append(f"{each}.key = :{each}")
        values[each] = step
        document = f"CASE {each}.type WHEN 'object' THEN {each}.value ELSE '{{}}' END"
    found.append(_equals(each, name, value, values))
    return f"EXISTS (SELECT 1 FROM {', '.join(tables)} WHERE {' AND '.join(found)})"


def _equals(each: str, name: str, value: Any, values: _Values) -> str:
    if value is None:
        return f"{each}.type = 'null'"
    if isinstance(value, bool):
        return f"{each}.type = '{'true' if value else 'false'}'"
    values[f"{name}_value"] = value
    types = "('text')" if isinstance(value, str) else "('integer', 'real')"
    return f"{each}.type IN {types} AND {each}.atom = :{name}_value"


def add_functions(connection: sqlite3.Connection) -> None:
    """Give a connection what the conditions call."""
    connection.create_function("metadata_equals", 3, _metadata_equals, deterministic=True)


def _metadata_equals(metadata: str, path: str, wanted: str) -> bool:
    found = _decode(metadata)
    for step in path.split("."):
        if not isinstance(found, dict) or step not in found:
            return False
        found = found[step]
    number = isinstance(found, int | float) and not isinstance(found, bool)
    return number and bool(found == _decode(wanted))
