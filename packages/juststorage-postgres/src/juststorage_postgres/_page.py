"""Pages: the filters and the order of `Query` as statements that walk along an index.

Every page starts where the last one ended (a row comparison that is a condition of the index), so
it costs the same at any depth. The orders of a namespace have an index each, and so has the newest
first of a whole tenant. For the other orders of several namespaces, each namespace gives its first
rows and the best of them are the page; the namespaces of a tenant are found by skipping from one to
the next along an index.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from juststorage.domain import Query, SortBy
from juststorage_postgres._rows import OBJECT_COLUMNS
from juststorage_postgres._schema import columns, objects

__all__ = ["like", "prefix_end", "statements_of"]

_COLUMNS: Final = columns(objects, "o.", count=OBJECT_COLUMNS)

_NAMESPACES: Final = """
WITH RECURSIVE n AS (
    (
        SELECT namespace FROM objects
        WHERE tenant_id = $1 AND status = 'COMMITTED' ORDER BY namespace LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT o.namespace FROM objects o
        WHERE o.tenant_id = $1 AND o.status = 'COMMITTED' AND o.namespace > n.namespace
        ORDER BY o.namespace LIMIT 1
    ) FROM n WHERE n.namespace IS NOT NULL
)"""


def statements_of(query: Query) -> Iterator[tuple[str, list[Any]]]:
    """The statements of a page in the order of their rows, each with its arguments but the limit.

    The limit is the last argument of each. A list by key has two parts: objects with a key are
    found by the index of its holders, those without by one of their own.
    """
    if not _can_match(query):
        return
    if query.sort_by is not SortBy.KEY:
        yield _Statement(query).built()
        return
    parts = [True, False] if not query.descending else [False, True]
    if query.after is not None and (query.after.value is not None) != parts[0]:
        del parts[0]
    for position, has_key in enumerate(parts):
        is_first = position == 0
        yield _Statement(query, has_key=has_key, is_continued=is_first).built()


def like(pattern: str) -> str:
    """A namespace or a prefix as LIKE has it. Names have underscores, and no other wildcard."""
    literal = pattern.removesuffix("*").replace("_", r"\_")
    return f"{literal}%" if pattern.endswith("*") else literal


def _can_match(query: Query) -> bool:
    """Whether PostgreSQL can have what the filters ask for: no other text or number is stored."""
    texts = [query.key_prefix, query.key_contains, query.content_type, *query.metadata]
    for value in query.metadata.values():
        if isinstance(value, float) and not math.isfinite(value):
            return False
        texts.append(value if isinstance(value, str) else None)
    return all(text is None or _is_text(text) for text in texts)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\x00" not in text


def prefix_end(prefix: str) -> str | None:
    """The first text after all that begin with `prefix`; None where nothing comes after them."""
    while prefix:
        last = ord(prefix[-1])
        if last < 0x10FFFF:
            # Surrogates are no characters: no text has one.
            following = 0xE000 if last == 0xD7FF else last + 1
            return prefix[:-1] + chr(following)
        prefix = prefix[:-1]
    return None


class _Statement:
    """One statement as it is put together.

    Args:
        query: The query.
        has_key: Only objects with a key, or only those without; None for all.
        is_continued: Whether the query's position is in this part.
    """

    def __init__(
        self, query: Query, *, has_key: bool | None = None, is_continued: bool = True
    ) -> None:
        self._query = query
        self._has_key = has_key
        self._arguments: list[Any] = [query.tenant_id]
        self._conditions = ["o.tenant_id = $1", "o.status = 'COMMITTED'"]
        self._order = "" if has_key is False else f"o.{query.sort_by.value}"
        if has_key is not None:
            self._conditions.append(f"o.key IS {'NOT ' if has_key else ''}NULL")
        self._filter()
        if query.after is not None and is_continued:
            self._continue()

    def _argument(self, value: object, kind: str) -> str:
        self._arguments.append(value)
        return f"${len(self._arguments)}::{kind}"

    def _filter(self) -> None:
        query, where = self._query, self._conditions
        if query.key_prefix:
            where.append(f"o.key >= {self._argument(query.key_prefix, 'text')}")
            end = prefix_end(query.key_prefix)
            if end is not None:
                where.append(f"o.key < {self._argument(end, 'text')}")
        if query.key_contains:
            where.append(f"strpos(o.key, {self._argument(query.key_contains, 'text')}) > 0")
        if query.content_type is not None and query.content_type.endswith("/*"):
            start = self._argument(query.content_type[:-1], "text")
            where.append(f"starts_with(o.content_type, {start})")
        elif query.content_type is not None:
            where.append(f"o.content_type = {self._argument(query.content_type, 'text')}")
        if query.storage_class is not None:
            where.append(f"o.storage_class = {self._argument(query.storage_class, 'text')}")
        if query.content_hash is not None:
            # The same as content_hash for what is committed, and the one with an index.
            where.append(f"o.blob_hash = {self._argument(query.content_hash, 'text')}")
        for column, sign, value, kind in (
            ("size_bytes", ">=", query.size_min, "bigint"),
            ("size_bytes", "<=", query.size_max, "bigint"),
            ("created_at", ">=", query.created_from, "timestamptz"),
            ("created_at", "<", query.created_to, "timestamptz"),
        ):
            if value is not None:
                where.append(f"o.{column} {sign} {self._argument(value, kind)}")
        for path, wanted in query.metadata.items():
            for name in reversed(path.split(".")):
                wanted = {name: wanted}  # type: ignore[assignment]  # noqa: PLW2901
            document = msgspec.json.encode(wanted).decode()
            # Containment compares scalars by JSON type and value, numbers as numbers.
            where.append(f"o.metadata::jsonb @> {self._argument(document, 'text')}::jsonb")

    def _continue(self) -> None:
        after = self._query.after
        assert after is not None
        sign = "<" if self._query.descending else ">"
        if self._order:
            kind = {SortBy.KEY: "text", SortBy.SIZE_BYTES: "bigint"}.get(
                self._query.sort_by, "timestamptz"
            )
            value = self._argument(after.value, kind)
            edge = self._argument(after.id, "text")
            self._conditions.append(f"({self._order}, o.id) {sign} ({value}, {edge}::uuid)")
        else:
            edge = self._argument(after.id, "text")
            self._conditions.append(f"o.id {sign} {edge}::uuid")

    def _one_namespace(self) -> str | None:
        namespaces = self._query.namespaces
        if namespaces is None or len(namespaces) != 1:
            return None
        name = next(iter(namespaces))
        return None if name.endswith("*") else name

    def built(self) -> tuple[str, list[Any]]:
        """The statement and its arguments."""
        query = self._query
        direction = " DESC" if query.descending else ""
        order = ", ".join(f"{column}{direction}" for column in (self._order, "o.id") if column)
        only = self._one_namespace()
        if only is not None:
            self._conditions.append(f"o.namespace = {self._argument(only, 'text')}")
            # Within one namespace a key is unique, and its index has no id.
            order = f"{self._order}{direction}" if self._has_key else order
        if only is not None or (query.namespaces is None and query.sort_by is SortBy.CREATED_AT):
            where = " AND ".join(self._conditions)
            tail = f"WHERE {where} ORDER BY {order} LIMIT ${len(self._arguments) + 1}"
            return f"SELECT {_COLUMNS} FROM objects o {tail}", self._arguments  # noqa: S608
        conditions = ["o.namespace = n.namespace", *self._conditions]
        if query.namespaces is None:
            head, source = _NAMESPACES, "n"
        elif any(each.endswith("*") for each in query.namespaces):
            head, source = _NAMESPACES, "n"
            patterns = self._argument(sorted(map(like, query.namespaces)), "text[]")
            conditions.append(f"n.namespace LIKE ANY ({patterns})")
        else:
            given = self._argument(sorted(query.namespaces), "text[]")
            head, source = "", f"unnest({given}) AS n (namespace)"
        limit = f"LIMIT ${len(self._arguments) + 1}"
        where = " AND ".join(conditions)
        # Within one namespace a key is unique, and its index has no id.
        inner = f"{self._order}{direction}" if self._has_key else order
        statement = f"""{head} SELECT {_COLUMNS} FROM {source} CROSS JOIN LATERAL (
            SELECT o.* FROM objects o WHERE {where} ORDER BY {inner} {limit}
        ) AS o ORDER BY {order} {limit}"""  # noqa: S608
        return statement, self._arguments
