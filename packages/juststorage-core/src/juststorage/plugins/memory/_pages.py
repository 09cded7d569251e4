"""Pages: the filters of `Query` as a predicate, its order as a sort key."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any

from juststorage.domain import Page, Position, Query, SortBy, StoredObject, is_within

__all__ = ["page"]

_Rank = tuple[bool, Any, str]


def page(objects: Iterable[StoredObject], query: Query) -> Page:
    """Choose and order. Looks at every object: a page costs what the tenant's objects number."""
    rank = _rank(query.sort_by)
    chosen = [each for each in objects if _matches(each, query)]
    if query.after is not None:
        edge = _position_rank(query.after)
        chosen = [
            each
            for each in chosen
            if (rank(each) < edge if query.descending else rank(each) > edge)
        ]
    pick = heapq.nlargest if query.descending else heapq.nsmallest
    found = pick(query.limit + 1, chosen, key=rank)
    if len(found) <= query.limit:
        return Page(found, None)
    last = found[query.limit - 1]
    return Page(found[: query.limit], Position(_value(last, query.sort_by), last.id))


def _value(each: StoredObject, sort_by: SortBy) -> Any:
    return getattr(each, sort_by.value)


def _rank(sort_by: SortBy) -> Callable[[StoredObject], _Rank]:
    def rank(each: StoredObject) -> _Rank:
        value = _value(each, sort_by)
        return (value is None, "" if value is None else value, each.id)

    return rank


def _position_rank(position: Position) -> _Rank:
    value = position.value
    return (value is None, "" if value is None else value, position.id)


def _matches(each: StoredObject, query: Query) -> bool:
    key, size = each.key, each.size_bytes
    assert size is not None, "a committed object has content"
    # Code points order and compare as their UTF-8 bytes do, so plain text operations are exact.
    return (
        is_within(each.namespace, query.namespaces)
        and (query.key_prefix is None or (key is not None and key.startswith(query.key_prefix)))
        and (query.key_contains is None or (key is not None and query.key_contains in key))
        and (query.content_type is None or _has_type(each.content_type, query.content_type))
        and (query.storage_class is None or each.storage_class is query.storage_class)
        and (query.content_hash is None or each.content_hash == query.content_hash)
        and (query.size_min is None or size >= query.size_min)
        and (query.size_max is None or size <= query.size_max)
        and (query.created_from is None or each.created_at >= query.created_from)
        and (query.created_to is None or each.created_at < query.created_to)
        and (not query.metadata or _has_metadata(each.metadata.value, query.metadata))
    )


def _has_type(content_type: str, wanted: str) -> bool:
    if wanted.endswith("/*"):
        return content_type.startswith(wanted[:-1])
    return content_type == wanted


def _has_metadata(metadata: Any, wanted: dict[str, Any]) -> bool:
    return all(_has_value(metadata, path.split("."), value) for path, value in wanted.items())


def _has_value(found: Any, path: list[str], wanted: Any) -> bool:
    for name in path:
        if not isinstance(found, dict) or name not in found:
            return False
        found = found[name]
    return _json_type(found) is _json_type(wanted) and bool(found == wanted)


def _json_type(value: Any) -> type:
    """The JSON type: Python takes True for 1, JSON does not, and 1 is 1.0 there."""
    if isinstance(value, bool):
        return bool
    return float if isinstance(value, int | float) else type(value)
