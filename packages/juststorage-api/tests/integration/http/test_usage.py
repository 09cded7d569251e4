"""Usage over HTTP: exact after every change, and only of what the caller holds."""

from __future__ import annotations

import json
from typing import Any

import pytest


def usage(api: Any, query: str = "", *, key: str = "admin") -> Any:
    """GET /v1/usage."""
    return api.call("GET", f"/v1/usage{query}", key=key)


def test_nothing_is_stored(api: Any, tenant: str) -> None:
    """Zero of everything, and no parts."""
    answer = usage(api, f"?tenant_id={tenant}")
    assert answer.status == 200
    assert answer.json == {
        "tenant_id": tenant,
        "namespace": None,
        "objects": 0,
        "logical_bytes": 0,
        "physical_bytes": 0,
        "by": [],
    }


def test_exact_after_every_change(api: Any, tenant: str) -> None:
    """Uploads, a replacement, a copy, a move and deletes, each counted when it is answered."""

    def counted() -> Any:
        found = usage(api, f"?tenant_id={tenant}").json
        parts = [tuple(part.values()) for part in found["by"]]
        return (found["objects"], found["logical_bytes"], found["physical_bytes"]), parts

    base = f"/v1/objects/by-key/a/{tenant}"
    first = api.put(f"{base}/one", b"12345")
    assert counted() == ((1, 5, 5), [("a", "hot", 1, 5, 5)])
    api.put(f"/v1/objects/by-key/b/{tenant}/two", b"12345")
    parts = [("a", "hot", 1, 5, 5), ("b", "hot", 1, 5, 5)]
    assert counted() == ((2, 10, 5), parts)
    api.put(f"/v1/objects/by-key/b/{tenant}/two", b"12")
    assert counted() == ((2, 7, 7), [("a", "hot", 1, 5, 5), ("b", "hot", 1, 2, 2)])
    url = f"/v1/objects/{first['id']}"
    assert api.call("POST", f"{url}/copy?tenant_id={tenant}").status == 201
    assert counted()[1][0] == ("a", "hot", 2, 10, 5)
    patch = {"storage_class": "cold"}
    moved = api.call(
        "PATCH",
        f"{url}?tenant_id={tenant}",
        headers={"Content-Type": "application/merge-patch+json"},
        body=json.dumps(patch).encode(),
    )
    assert moved.status == 200
    parts = [("a", "cold", 1, 5, 5), ("a", "hot", 1, 5, 5), ("b", "hot", 1, 2, 2)]
    assert counted() == ((3, 12, 12), parts)
    assert api.call("DELETE", f"{base}/one").status == 204
    assert counted() == ((2, 7, 7), parts[1:])


def test_a_namespace_and_without_physical_bytes(api: Any, tenant: str) -> None:
    """Only that namespace; what is not asked for is not there."""
    for namespace in ("a", "b"):
        api.put(f"/v1/objects/by-key/{namespace}/{tenant}/k", b"1")
    found = usage(api, f"?tenant_id={tenant}&namespace=b&physical=false").json
    assert found == {
        "tenant_id": tenant,
        "namespace": "b",
        "objects": 1,
        "logical_bytes": 1,
        "by": [{"namespace": "b", "storage_class": "hot", "objects": 1, "logical_bytes": 1}],
    }
    assert usage(api, f"?tenant_id={tenant}&namespace=c").json["by"] == []


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?tenant_id=%20", "invalid_name"),
        ("?tenant_id=t1&namespace=-", "invalid_name"),
        ("?tenant_id=t1&physical=perhaps", "invalid_request"),
        ("?tenant_id=t1&prefix=a", "invalid_request"),
        ("?tenant_id=t1&tenant_id=t1", "invalid_request"),
        ("", "invalid_request"),
    ],
)
def test_what_is_no_question(api: Any, query: str, code: str) -> None:
    """A typo is heard; without a tenant it must be the only one held."""
    answer = usage(api, query)
    assert (answer.status, answer.code) == (400, code)


def test_access(api: Any) -> None:
    """Another tenant's usage is its own, and who is confined to namespaces counts only those."""
    api.put("/v1/objects/by-key/open/t1/usage", b"x")
    api.put("/v1/objects/by-key/closed/t1/usage", b"x")
    assert usage(api, key="writer").code == "scope_missing"
    assert usage(api, "?tenant_id=t1", key="other").code == "tenant_forbidden"
    assert usage(api, "?namespace=closed", key="confined").code == "tenant_forbidden"
    assert {part["namespace"] for part in usage(api, key="confined").json["by"]} == {"open"}
    assert {"open", "closed"} <= {part["namespace"] for part in usage(api, key="reader").json["by"]}
