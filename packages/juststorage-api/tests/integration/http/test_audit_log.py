"""The audit log: every change and every refusal leaves one line, with who, what and how it went."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import uuid4

import pytest

NEVER = "01a21098-f290-7cc4-9518-d64de021c446"
JSON = {"Content-Type": "application/json"}
MERGE = {"Content-Type": "application/merge-patch+json"}


class Trail:
    """Calls, and the events that they leave."""

    def __init__(self, api: Any, log: Any) -> None:
        self._api = api
        self._log = log

    def call(self, method: str, url: str, **options: Any) -> tuple[Any, str]:
        """A call under a request id of its own; the answer and the id."""
        request_id = f"audit-{uuid4()}"
        headers = {"X-Request-Id": request_id, **options.pop("headers", {})}
        return self._api.call(method, url, headers=headers, **options), request_id

    def event(self, request_id: str) -> dict[str, Any]:
        """The event of a request."""
        line = json.loads(self._log.wait('"juststorage.audit"', request_id))
        assert line["level"] == "INFO"
        fields: dict[str, Any] = line["fields"]
        assert fields["request_id"] == request_id
        assert fields["peer"] == "127.0.0.1"
        assert "k" * 32 not in json.dumps(line)
        return fields

    def leaves(self, request_id: str) -> bool:
        """Whether a request has left an event, once a later one has."""
        _, later = self.call("PUT", "/v1/objects/by-key/ns/t1/later", key="one", body=b"x")
        self.event(later)
        return bool(self._log._find(('"juststorage.audit"', request_id)))


@pytest.fixture
def trail(api: Any, log: Any) -> Trail:
    """Over the running server."""
    return Trail(api, log)


@pytest.mark.parametrize(
    ("method", "url", "key", "status", "code"),
    [
        ("GET", "/v1/objects?tenant_id=t1", None, 401, "unauthenticated"),
        ("PUT", "/v1/objects/by-key/ns/t1/k", None, 401, "unauthenticated"),
        ("GET", "/v1/no-such-route", None, 401, "unauthenticated"),
        ("PUT", "/v1/objects/by-key/ns/t2/k", "one", 403, "tenant_forbidden"),
        ("GET", "/v1/objects/by-key/ns/t1/k", "confined", 403, "tenant_forbidden"),
        ("DELETE", "/v1/objects/by-key/ns/t1/k", "reader", 403, "scope_missing"),
        ("POST", "/v1/objects/delete", "reader", 403, "scope_missing"),
        ("GET", "/v1/api-keys", "one", 403, "scope_missing"),
        ("GET", f"/v1/api-keys/{NEVER}", "manager", 404, "not_found"),
        ("DELETE", f"/v1/api-keys/{NEVER}", "manager", 404, "not_found"),
        ("POST", "/v1/api-keys", "admin", 415, "unsupported_media_type"),
    ],
)
def test_a_refusal(  # noqa: PLR0917  a table
    trail: Trail, method: str, url: str, key: str | None, status: int, code: str
) -> None:
    """It says who asked for what, as far as that is known, and why it was refused."""
    body = b"x" if method in {"PUT", "POST"} else None
    answer, request_id = trail.call(method, url, key=key, body=body)
    assert answer.status == status
    event = trail.event(request_id)
    assert (event["action"], event["outcome"]) == ("request", "refused")
    assert (event["method"], event["path"]) == (method, url.partition("?")[0])
    assert (event["status"], event["code"]) == (status, code)
    if key is None:
        assert event["subject"] is None
    else:
        assert re.fullmatch(r"api_key:[0-9a-f-]{36}", event["subject"])


def test_a_change_that_failed(trail: Trail) -> None:
    """Where the service failed, nobody knows; the event says so."""
    url = "/v1/objects?namespace=ns&storage_class=cold"
    headers = {"Content-Length": "19000000", "Expect": "100-continue"}
    answer, request_id = trail.call("POST", url, key="one", headers=headers)
    assert answer.status == 507
    event = trail.event(request_id)
    assert (event["outcome"], event["status"]) == ("unknown", 507)
    assert event["tenant_id"] == "t1"


def test_reads_leave_nothing(trail: Trail) -> None:
    """Nor do mistakes that change nothing and reveal nothing."""
    trail.call("PUT", "/v1/objects/by-key/ns/t1/read", key="one", body=b"x")
    for method, url in (
        ("GET", "/v1/objects/by-key/ns/t1/read"),
        ("GET", "/v1/objects?limit=1"),
        ("GET", "/v1/objects/by-key/ns/t1/not-there"),
        ("DELETE", "/v1/objects/by-key/ns/t1/not-there"),
        ("POST", "/v1/objects"),
        ("GET", "/health"),
    ):
        _, request_id = trail.call(method, url, key="one")
        assert not trail.leaves(request_id)


def test_a_repeated_request_has_done_nothing(trail: Trail) -> None:
    """Its answer is the first one's, and so is the event: nothing was created a second time."""
    for method, url, status in (
        ("POST", "/v1/objects?namespace=ns", 201),
        ("PUT", f"/v1/objects/by-key/ns/t1/{uuid4()}", 201),
    ):
        headers = {"Idempotency-Key": str(uuid4())}
        first, first_id = trail.call(method, url, key="one", headers=headers, body=b"x")
        again, again_id = trail.call(method, url, key="one", headers=headers, body=b"x")
        assert (first.status, again.status) == (status, status)
        assert again.json == first.json
        assert trail.event(first_id)["object_id"] == first.json["id"]
        assert not trail.leaves(again_id)
    headers = {"Idempotency-Key": str(uuid4())}
    url = f"/v1/objects/{first.json['id']}/copy"
    first, first_id = trail.call("POST", url, key="one", headers=headers)
    again, again_id = trail.call("POST", url, key="one", headers=headers)
    assert again.json == first.json
    assert trail.event(first_id)["object_id"] == first.json["id"]
    assert not trail.leaves(again_id)


def test_the_life_of_an_object(trail: Trail) -> None:
    """Created, replaced, changed, copied, deleted: each with what it was about."""
    url = f"/v1/objects/by-key/ns/t1/{uuid4()}"

    def done(action: str, method: str, url: str, **options: Any) -> tuple[Any, dict[str, Any]]:
        answer, request_id = trail.call(method, url, key="one", **options)
        assert answer.status < 300
        event = trail.event(request_id)
        assert (event["action"], event["outcome"]) == (action, "done")
        assert event["tenant_id"] == "t1"
        return answer, event

    answer, event = done("object.created", "PUT", url, body=b"one")
    first = answer.json
    assert (event["object_id"], event["namespace"]) == (first["id"], "ns")
    assert event["content_hash"] == first["content_hash"]
    answer, event = done("object.replaced", "PUT", url, body=b"two")
    second = answer.json
    assert (event["object_id"], event["replaced"]) == (second["id"], first["id"])
    by_id = f"/v1/objects/{second['id']}"
    body = json.dumps({"metadata": {"a": 1}, "key": None}).encode()
    _, event = done("object.changed", "PATCH", by_id, headers=MERGE, body=body)
    assert (event["object_id"], event["changed"]) == (second["id"], ["metadata", "key"])
    answer, event = done("object.created", "POST", f"{by_id}/copy")
    copy_id = answer.json["id"]
    assert (event["object_id"], event["copied_from"]) == (copy_id, second["id"])
    _, event = done("object.deleted", "DELETE", by_id)
    assert event["object_ids"] == [second["id"]]
    body = json.dumps({"ids": [copy_id, second["id"]]}).encode()
    _, event = done("object.deleted", "POST", "/v1/objects/delete", headers=JSON, body=body)
    assert event["object_ids"] == [copy_id]


def test_the_life_of_a_key(trail: Trail) -> None:
    """What it may do is in its events; the key itself is nowhere in the log."""
    asked = {"name": "audited", "tenants": ["t1"], "scopes": ["objects:read"]}
    answer, request_id = trail.call(
        "POST", "/v1/api-keys", headers=JSON, body=json.dumps(asked).encode()
    )
    document = answer.json
    event = trail.event(request_id)
    assert (event["action"], event["outcome"]) == ("api_key.created", "done")
    assert event["key_id"] == document["id"]
    assert (event["tenants"], event["scopes"]) == (["t1"], ["objects:read"])
    url = f"/v1/api-keys/{document['id']}"
    body = json.dumps({"scopes": ["objects:write"]}).encode()
    _, request_id = trail.call("PATCH", url, headers=MERGE, body=body)
    event = trail.event(request_id)
    assert (event["action"], event["scopes"]) == ("api_key.changed", ["objects:write"])
    _, request_id = trail.call("DELETE", url)
    event = trail.event(request_id)
    assert (event["action"], event["is_active"]) == ("api_key.revoked", False)
    assert not trail._log._find((document["key"][16:],))
