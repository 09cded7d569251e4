"""Lists: order, pages, prefixes."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest


@pytest.fixture
def keys(api: Any, base: str) -> list[str]:
    """Seven objects, in the order in which they were stored."""
    names = ["b/2", "a", "b/1", "b%", "B/1", "b/10", "c"]
    for name in names:
        api.put(f"{base}/{quote(name)}", name.encode())
    return names


def walk(api: Any, tenant: str, query: str = "", limit: int = 2) -> list[Any]:
    """All pages, one after the other."""
    found: list[Any] = []
    cursor = ""
    while True:
        url = f"/v1/objects?tenant_id={tenant}&limit={limit}&cursor={cursor}{query}"
        page = api.call("GET", url).json
        assert len(page["objects"]) <= limit
        found += page["objects"]
        if page["next_cursor"] is None:
            return found
        cursor = quote(page["next_cursor"])


def test_newest_first(api: Any, tenant: str, keys: list[str]) -> None:
    """Page by page, each object once, the last stored first."""
    assert [each["key"] for each in walk(api, tenant)] == keys[::-1]


def test_a_prefix_orders_by_key(api: Any, tenant: str, keys: list[str]) -> None:
    """Literal, case-sensitive, in the order of bytes."""
    assert [each["key"] for each in walk(api, tenant, "&prefix=b/")] == ["b/1", "b/10", "b/2"]
    assert [each["key"] for each in walk(api, tenant, "&prefix=b%25")] == ["b%"]


def test_a_namespace_narrows_the_list(api: Any, tenant: str, keys: list[str]) -> None:
    """Only that namespace; an unknown one is empty."""
    api.put(f"/v1/objects/by-key/other/{tenant}/x", b"x")
    assert [each["key"] for each in walk(api, tenant, "&namespace=other")] == ["x"]
    assert walk(api, tenant, "&namespace=nothing") == []


def test_a_cursor_is_bound_to_its_query(api: Any, tenant: str, keys: list[str]) -> None:
    """Another prefix or namespace makes it invalid; another limit does not."""
    page = api.call("GET", f"/v1/objects?tenant_id={tenant}&limit=2").json
    cursor = quote(page["next_cursor"])
    again = f"/v1/objects?tenant_id={tenant}&cursor={cursor}"
    for query in ("&prefix=b", "&namespace=ns"):
        answer = api.call("GET", again + query)
        assert (answer.status, answer.code) == (400, "invalid_cursor")
    assert len(api.call("GET", f"{again}&limit=1000").json["objects"]) == 5


def test_a_changed_cursor_is_refused(api: Any, tenant: str, keys: list[str]) -> None:
    """One letter is enough."""
    cursor = api.call("GET", f"/v1/objects?tenant_id={tenant}&limit=2").json["next_cursor"]
    for at in (0, len(cursor) // 2, len(cursor) - 2):
        forged = cursor[:at] + ("A" if cursor[at] != "A" else "B") + cursor[at + 1 :]
        answer = api.call("GET", f"/v1/objects?tenant_id={tenant}&limit=2&cursor={quote(forged)}")
        assert (answer.status, answer.code) == (400, "invalid_cursor")


def test_a_walk_is_stable_while_others_write(
    api: Any, base: str, tenant: str, keys: list[str]
) -> None:
    """What comes or goes meanwhile moves nothing else."""
    page = api.call("GET", f"/v1/objects?tenant_id={tenant}&limit=3").json
    api.put(f"{base}/new", b"x")
    api.call("DELETE", f"{base}/{keys[-1]}")
    rest = api.call(
        "GET", f"/v1/objects?tenant_id={tenant}&limit=100&cursor={quote(page['next_cursor'])}"
    ).json
    assert [each["key"] for each in page["objects"] + rest["objects"]] == keys[::-1]


def test_an_empty_tenant(api: Any, tenant: str) -> None:
    """No objects, no cursor."""
    answer = api.call("GET", f"/v1/objects?tenant_id={tenant}")
    assert answer.json == {"objects": [], "next_cursor": None}


def test_words_that_look_like_other_types_are_words(api: Any, base: str, tenant: str) -> None:
    """null, true and 1 in a query are text where text is expected."""
    for key in ("null", "true", "1"):
        api.put(f"{base}/{key}", b"x")
        listed = api.call("GET", f"/v1/objects?tenant_id={tenant}&prefix={key}").json["objects"]
        assert [each["key"] for each in listed] == [key]
