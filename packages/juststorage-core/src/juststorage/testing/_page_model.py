"""What a page must hold, computed the slow and plain way."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cmp_to_key
from typing import Any

from juststorage.domain import Query, SortBy, StoredObject, is_within

__all__ = ["expected"]


def expected(objects: Iterable[StoredObject], query: Query) -> list[StoredObject]:
    """Every object that matches the query, in its order; `limit` and `after` play no part."""
    found = [each for each in objects if all(_tests(each, query))]

    def compare(one: StoredObject, other: StoredObject) -> int:
        first, second = _value(one, query.sort_by), _value(other, query.sort_by)
        if first == second:
            return _sign(one.id.encode(), other.id.encode())
        if first is None or second is None:
            return 1 if first is None else -1
        return _sign(first, second)

    return sorted(found, key=cmp_to_key(compare), reverse=query.descending)


def _value(each: StoredObject, sort_by: SortBy) -> Any:
    if sort_by is SortBy.KEY:
        return None if each.key is None else each.key.encode()
    if sort_by is SortBy.SIZE_BYTES:
        return each.size_bytes
    return each.created_at if sort_by is SortBy.CREATED_AT else each.updated_at


def _sign(first: Any, second: Any) -> int:
    return int(first > second) - int(first < second)


def _tests(each: StoredObject, query: Query) -> Iterable[bool]:
    key = b"" if each.key is None else each.key.encode()
    size = each.size_bytes
    assert size is not None
    yield each.tenant_id == query.tenant_id
    if query.namespaces is not None:
        yield is_within(each.namespace, query.namespaces)
    if query.key_prefix is not None:
        yield each.key is not None and key[: len(query.key_prefix.encode())] == (
            query.key_prefix.encode()
        )
    if query.key_contains is not None:
        yield each.key is not None and query.key_contains.encode() in key
    if query.content_type is not None:
        kind, _, subtype = query.content_type.partition("/")
        if subtype == "*":
            yield each.content_type.partition("/")[0] == kind
        else:
            yield each.content_type == query.content_type
    if query.storage_class is not None:
        yield each.storage_class is query.storage_class
    if query.content_hash is not None:
        yield each.content_hash == query.content_hash
    yield size >= (query.size_min or 0)
    if query.size_max is not None:
        yield size <= query.size_max
    if query.created_from is not None:
        yield not each.created_at < query.created_from
    if query.created_to is not None:
        yield each.created_at < query.created_to
    for path, wanted in query.metadata.items():
        yield _has(each.metadata.value, path, wanted)


def _has(metadata: Any, path: str, wanted: Any) -> bool:
    found = metadata
    for name in path.split("."):
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    if isinstance(found, dict | list):
        return False
    return _tagged(found) == _tagged(wanted)


def _tagged(scalar: Any) -> tuple[str, Any]:
    """A scalar with its JSON type: in Python True is 1, in JSON it is not."""
    if isinstance(scalar, bool) or scalar is None:
        return "word", json.dumps(scalar)
    return ("text" if isinstance(scalar, str) else "number"), scalar
