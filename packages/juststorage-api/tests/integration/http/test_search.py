"""Search over HTTP: what each field of the body filters, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest


def search(api: Any, document: Any, *, key: str = "admin") -> Any:
    """POST /v1/objects/search."""
    return api.call(
        "POST",
        "/v1/objects/search",
        body=json.dumps(document).encode(),
        headers={"Content-Type": "application/json"},
        key=key,
    )


@pytest.fixture
def stored(api: Any, tenant: str) -> dict[str, Any]:
    """Some objects, by key."""

    def put(namespace: str, key: str, body: bytes, query: str = "", **headers: str) -> Any:
        fields = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"/v1/objects/by-key/{namespace}/{tenant}/{key}{query}"
        return api.put(url, body, headers=fields)

    return {
        "a%25b": put("ns", "a%25b", b"1", Content_Type="image/png"),
        "a_b": put("ns", "a_b", b"22", Content_Type="image/jpeg"),
        "A_B": put("ns", "A_B", b"333", Content_Type="text/plain"),
        "axb": put("other", "axb", b"4444", X_Object_Metadata='{"m": {"n": 1}, "t": "x"}'),
        "cold": put("ns", "cold", b"55555", "?storage_class=cold", X_Object_Metadata='{"m": true}'),
    }


@pytest.mark.parametrize(
    ("filters", "keys"),
    [
        ({}, ["cold", "axb", "A_B", "a_b", "a%b"]),
        ({"namespace": "other"}, ["axb"]),
        ({"key_prefix": "a"}, ["axb", "a_b", "a%b"]),
        ({"key_prefix": "a_"}, ["a_b"]),
        ({"key_prefix": "a%"}, ["a%b"]),
        ({"key_contains": "_"}, ["A_B", "a_b"]),
        ({"key_contains": "%"}, ["a%b"]),
        ({"key_contains": "a_b"}, ["a_b"]),
        ({"content_type": "image/*"}, ["a_b", "a%b"]),
        ({"content_type": "image/png"}, ["a%b"]),
        ({"content_type": "*/*"}, []),
        ({"storage_class": "cold"}, ["cold"]),
        ({"size_range": {"min": 2, "max": 4}}, ["axb", "A_B", "a_b"]),
        ({"size_range": {"max": 1}}, ["a%b"]),
        ({"size_range": {}}, ["cold", "axb", "A_B", "a_b", "a%b"]),
        ({"metadata": {"m.n": 1}}, ["axb"]),
        ({"metadata": {"m.n": 1.0}}, ["axb"]),
        ({"metadata": {"m.n": "1"}}, []),
        ({"metadata": {"m": True}}, ["cold"]),
        ({"metadata": {"m": 1}}, []),
        ({"metadata": {"t": "x", "m.n": 1}}, ["axb"]),
        ({"metadata": {"t": None}}, []),
        ({"created_at_range": {"from": "2020-01-01T00:00:00Z"}, "key_prefix": "A"}, ["A_B"]),
        ({"created_at_range": {"to": "2020-01-01T00:00:00Z"}}, []),
        (
            {"created_at_range": {"from": "0001-01-01T00:00:00Z", "to": "9999-12-31T23:59:59Z"}},
            ["cold", "axb", "A_B", "a_b", "a%b"],
        ),
        ({"sort_by": "key", "sort_direction": "asc"}, ["A_B", "a%b", "a_b", "axb", "cold"]),
        ({"sort_by": "size_bytes", "sort_direction": "asc", "limit": 2}, ["a%b", "a_b"]),
        ({"sort_by": "updated_at", "limit": 1}, ["cold"]),
        (
            {"key_prefix": "", "key_contains": None, "metadata": None, "cursor": "", "limit": 1},
            ["cold"],
        ),
    ],
)
def test_each_filter(
    api: Any, tenant: str, stored: Any, filters: dict[str, Any], keys: list[str]
) -> None:
    """Each really filters, wildcards are letters, and all of them hold at once."""
    answer = search(api, {"tenant_id": tenant, **filters})
    assert answer.status == 200
    assert [each["key"] for each in answer.json["objects"]] == keys


def test_by_content(api: Any, tenant: str, stored: Any) -> None:
    """By the hash of the bytes, of this tenant only."""
    content_hash = stored["a_b"]["content_hash"]
    found = search(api, {"tenant_id": tenant, "content_hash": content_hash}).json["objects"]
    assert found == [stored["a_b"]]
    assert search(api, {"content_hash": content_hash}, key="other").json["objects"] == []


@pytest.mark.parametrize(
    "document",
    [
        {"limit": 0},
        {"limit": 1001},
        {"limit": "10"},
        {"sort_by": "id"},
        {"sort_direction": "up"},
        {"storage_class": "warm"},
        {"content_hash": "sha256:ABC"},
        {"size_range": {"min": 2, "max": 1}},
        {"size_range": {"min": -1}},
        {"size_range": {"min": 1.5}},
        {"size_range": {"min": 2**63}},
        {"size_range": {"over": 1}},
        {"created_at_range": {"from": "2026-01-01T00:00:00"}},
        {"created_at_range": {"from": "yesterday"}},
        {"created_at_range": {"from": "0001-01-01T00:00:00+14:00"}},
        {"created_at_range": {"to": "9999-12-31T23:59:59-14:00"}},
        {"created_at_range": {"from": "2026-01-02T00:00:00Z", "to": "2026-01-01T00:00:00Z"}},
        {"metadata": {"a": [1]}},
        {"metadata": {"a": {"b": 1}}},
        {"metadata": {str(n): n for n in range(17)}},
        {"metadata": []},
        {"keyprefix": "a"},
        {"key_contains": "x" * 1025},
        [],
    ],
)
def test_what_is_no_search(api: Any, tenant: str, document: Any) -> None:
    """A field that is unknown, of another type, or out of range is 400."""
    if isinstance(document, dict):
        document = {"tenant_id": tenant, **document}
    answer = search(api, document)
    assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize("field", ["key_prefix", "key_contains", "namespace", "tenant_id"])
def test_names_that_cannot_be(api: Any, tenant: str, field: str) -> None:
    """What no key or name can have in it is a mistake, not an empty answer."""
    answer = search(api, {"tenant_id": tenant, field: "\u0000"})
    assert (answer.status, answer.code) == (400, "invalid_name")


def test_pages(api: Any, tenant: str, stored: Any) -> None:
    """A cursor goes on where it came from, in its query only; the limit may change."""
    query = {"tenant_id": tenant, "sort_by": "size_bytes", "size_range": {"min": 2}}
    first = search(api, {**query, "limit": 1}).json
    assert [each["size_bytes"] for each in first["objects"]] == [5]
    cursor = first["next_cursor"]
    rest = search(api, {**query, "limit": 10, "cursor": cursor}).json
    assert [each["size_bytes"] for each in rest["objects"]] == [4, 3, 2]
    assert rest["next_cursor"] is None
    for other in (
        {"size_range": {"min": 1}},
        {"sort_direction": "asc"},
        {"sort_by": "created_at"},
        {"namespace": "ns"},
        {"metadata": {"a": 1}},
        {"key_contains": "a"},
    ):
        answer = search(api, {**query, **other, "cursor": cursor})
        assert (answer.status, answer.code) == (400, "invalid_cursor"), other


def test_access(api: Any) -> None:
    """A cursor of one tenant means nothing to another; confined callers see what they hold."""
    for namespace in ("open", "closed"):
        for name in ("s1", "s2"):
            api.put(f"/v1/objects/by-key/{namespace}/t1/{name}", b"x")
    assert search(api, {}, key="writer").status == 403
    assert search(api, {"tenant_id": "t1"}, key="other").code == "tenant_forbidden"
    assert search(api, {}, key="both").status == 400
    found = search(api, {"key_prefix": "s"}, key="confined").json["objects"]
    assert {each["namespace"] for each in found} == {"open"}
    assert search(api, {"namespace": "closed"}, key="confined").code == "tenant_forbidden"
    cursor = search(api, {"limit": 1}, key="one").json["next_cursor"]
    for key in ("other", "confined"):
        answer = search(api, {"limit": 1, "cursor": cursor}, key=key)
        assert (answer.status, answer.code) == (400, "invalid_cursor")
