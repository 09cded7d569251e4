"""API keys over HTTP: issued once, never beyond what the caller holds, useless once revoked."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

NEVER = "01a21098-f290-7cc4-9518-d64de021c446"
JSON = {"Content-Type": "application/json"}
PATCH = {"Content-Type": "application/merge-patch+json"}


def at(days: float) -> str:
    """A time so many days from now."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat().replace("+00:00", "Z")


@pytest.fixture
def create(api: Any) -> Callable[..., Any]:
    """Creates a key: by the admin, of tenant t1, that may read, unless told otherwise."""

    def make(*, key: str = "admin", headers: Any = JSON, **asked: Any) -> Any:
        document = {"name": "made", "tenants": ["t1"], "scopes": ["objects:read"]} | asked
        body = json.dumps(document).encode()
        return api.call("POST", "/v1/api-keys", key=key, headers=headers, body=body)

    return make


@pytest.fixture
def change(api: Any) -> Callable[..., Any]:
    """Sends a merge patch."""

    def send(key_id: str, *, key: str = "admin", headers: Any = PATCH, **asked: Any) -> Any:
        body = json.dumps(asked).encode()
        return api.call("PATCH", f"/v1/api-keys/{key_id}", key=key, headers=headers, body=body)

    return send


def use(api: Any, text: str, url: str = "/v1/objects?tenant_id=t1") -> Any:
    """A call with a key."""
    return api.call("GET", url, key=None, headers={"X-API-Key": text})


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"name": ""}, "invalid_request"),
        ({"name": "x" * 129}, "invalid_request"),
        ({"name": "a\u0000b"}, "invalid_request"),
        ({"name": None}, "invalid_request"),
        ({"name": 1}, "invalid_request"),
        ({"tenants": []}, "invalid_request"),
        ({"tenants": None}, "invalid_request"),
        ({"tenants": "t1"}, "invalid_request"),
        ({"tenants": ["*", "t1"]}, "invalid_request"),
        ({"tenants": ["a/b"]}, "invalid_name"),
        ({"tenants": ["t*"]}, "invalid_name"),
        ({"tenants": [f"t{n}" for n in range(257)]}, "invalid_request"),
        ({"scopes": []}, "invalid_request"),
        ({"scopes": ["everything"]}, "invalid_request"),
        ({"scopes": ["*"]}, "invalid_request"),
        ({"namespaces": []}, "invalid_request"),
        ({"namespaces": ["*"]}, "invalid_name"),
        ({"namespaces": ["a*b"]}, "invalid_name"),
        ({"expires_at": "tomorrow"}, "invalid_request"),
        ({"expires_at": "2999-01-01T00:00:00"}, "invalid_request"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "invalid_request"),
        ({"expires_at": "0001-01-01T00:00:00+23:59"}, "invalid_request"),
        ({"expires_at": at(-1)}, "invalid_request"),
        ({"is_active": True}, "invalid_request"),
        ({"prefix": "js_mine"}, "invalid_request"),
    ],
)
def test_a_key_that_cannot_be(create: Callable[..., Any], asked: Any, code: str) -> None:
    """Unknown fields, wrong types and values out of range are 400, and say which."""
    answer = create(**asked)
    assert (answer.status, answer.code) == (400, code)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{", b"\xff", b'{"name": "x"}', b"[" * 60_000, b'{"a":1,}']
)
def test_a_body_that_is_none(api: Any, body: bytes) -> None:
    """What is not such an object is 400."""
    answer = api.call("POST", "/v1/api-keys", headers=JSON, body=body)
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_a_body_that_is_too_large(api: Any) -> None:
    """Announced or not, over 64 KiB is 413."""
    body = b" " * 70_000
    answer = api.call("POST", "/v1/api-keys", headers=JSON, body=body)
    assert (answer.status, answer.code) == (413, "body_too_large")
    chunked = b"11171\r\n" + body[:0x11171] + b"\r\n0\r\n\r\n"
    head = (
        f"POST /v1/api-keys HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.secret('admin')}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    answer = api.raw(head.encode() + chunked)
    assert (answer.status, answer.code) == (413, "body_too_large")


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_another_media_type(
    create: Callable[..., Any], change: Callable[..., Any], media_type: str
) -> None:
    """415 for what is not JSON; a patch must be called one."""
    headers = {"Content-Type": media_type}
    assert create(headers=headers).code == "unsupported_media_type"
    for wrong in (headers, JSON):
        answer = change(NEVER, headers=wrong, name="x")
        assert (answer.status, answer.code) == (415, "unsupported_media_type")


@pytest.mark.parametrize("key", ["one", "reader", "writer", "deleter", "confined"])
def test_keys_need_their_scope(api: Any, create: Callable[..., Any], key: str) -> None:
    """Whoever may do everything with objects may do nothing with keys, and is told nothing."""
    key_id = create().json["id"]
    for method, url in (
        ("GET", "/v1/api-keys"),
        ("GET", f"/v1/api-keys/{key_id}"),
        ("GET", f"/v1/api-keys/{NEVER}"),
        ("DELETE", f"/v1/api-keys/{key_id}"),
    ):
        answer = api.call(method, url, key=key)
        assert (answer.status, answer.code) == (403, "scope_missing")
    for answer in (
        create(key=key, headers={}),
        api.call("PATCH", f"/v1/api-keys/{key_id}", key=key, body=b"x"),
    ):
        assert (answer.status, answer.code) == (403, "scope_missing")


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"tenants": ["*"]}, "tenant_forbidden"),
        ({"tenants": ["t2"]}, "tenant_forbidden"),
        ({"tenants": ["t1", "t2"]}, "tenant_forbidden"),
        ({"scopes": ["objects:read"]}, "scope_missing"),
        ({"scopes": ["keys:manage", "admin"]}, "scope_missing"),
    ],
)
def test_nobody_grants_what_they_do_not_hold(
    create: Callable[..., Any], asked: Any, code: str
) -> None:
    """A manager of t1's keys, who may not read, cannot make a reader, or reach into t2."""
    answer = create(key="manager", **({"scopes": ["keys:manage"]} | asked))
    assert (answer.status, answer.code) == (403, code)


def test_a_confined_manager_makes_confined_keys(api: Any, create: Callable[..., Any]) -> None:
    """Within its prefix, and never without one."""
    scopes = ["keys:manage", "objects:read"]
    boss = create(scopes=scopes, namespaces=["team-*"]).json["key"]
    headers = {"X-API-Key": boss, **JSON}
    for namespaces, status in (
        (None, 403),
        (["t*"], 403),
        (["other"], 403),
        (["team-a", "team-b*"], 201),
    ):
        body = {"name": "n", "tenants": ["t1"], "scopes": scopes, "namespaces": namespaces}
        answer = api.call(
            "POST", "/v1/api-keys", key=None, headers=headers, body=json.dumps(body).encode()
        )
        assert answer.status == status


def test_a_new_key_is_shown_once(api: Any, create: Callable[..., Any]) -> None:
    """201 with the key, where it is, and an order not to keep it; later only its prefix."""
    answer = create(namespaces=["team-*"], expires_at=at(30))
    document = answer.json
    text = document.pop("key")
    assert answer.status == 201
    assert answer.headers["location"] == f"/v1/api-keys/{document['id']}"
    assert answer.headers["cache-control"] == "no-store"
    assert text.startswith(document["prefix"] + "_") and len(document["prefix"]) == 15
    assert set(document) == {
        *("id", "name", "prefix", "tenants", "namespaces", "scopes"),
        *("created_at", "expires_at", "last_used_at", "is_active"),
    }
    assert (document["tenants"], document["namespaces"]) == (["t1"], ["team-*"])
    assert (document["is_active"], document["last_used_at"]) == (True, None)
    found = api.call("GET", answer.headers["location"])
    assert found.json == document
    every = [found.body, api.call("GET", "/v1/api-keys?limit=1000").body]
    assert all(text[16:].encode() not in body for body in every)
    assert use(api, text).status == 200


def test_a_key_for_all_tenants(api: Any, create: Callable[..., Any]) -> None:
    """`*` alone stands for all of them, in and out."""
    document = create(tenants=["*"], scopes=["admin"]).json
    assert document["tenants"] == ["*"]
    assert use(api, document["key"], "/v1/objects?tenant_id=whatever").status == 200


@pytest.mark.parametrize("properties", [{"tenants": ["t2"]}, {"tenants": ["t1", "t2"]}, {}])
def test_a_key_that_reaches_further_is_like_none(
    api: Any, create: Callable[..., Any], change: Callable[..., Any], properties: Any
) -> None:
    """Its id gets the very answers of an id that never was, and no list has it."""
    scopes = ["keys:manage"] if properties else ["keys:manage", "objects:read"]
    foreign = create(scopes=scopes, **properties).json["id"]

    def answers(key_id: str) -> list[bytes]:
        headers = {"X-Request-Id": "the-same-id"}
        url = f"/v1/api-keys/{key_id}"
        made = [
            api.call("GET", url, key="manager", headers=headers),
            api.call("DELETE", url, key="manager", headers=headers),
            change(key_id, key="manager", headers=PATCH | headers, name="mine"),
        ]
        assert [each.status for each in made] == [404, 404, 404]
        return [each.body.replace(key_id.encode(), b"ID") for each in made]

    assert answers(foreign) == answers(NEVER)
    listed = api.call("GET", "/v1/api-keys?limit=1000", key="manager").json["api_keys"]
    assert foreign not in {each["id"] for each in listed}
    assert api.call("GET", f"/v1/api-keys/{foreign}").json["name"] == "made"


def test_pages_of_keys(api: Any, create: Callable[..., Any]) -> None:
    """A walk sees every key once, whatever it may not see in between."""
    made = set()
    for number in range(5):
        made.add(create(name=f"k{number}", scopes=["keys:manage"]).json["id"])
        create(name="hidden", tenants=["t2"])
    seen, url = [], "/v1/api-keys?limit=2"
    for _ in range(1000):
        page = api.call("GET", url, key="manager").json
        assert len(page["api_keys"]) <= 2
        seen += [each["id"] for each in page["api_keys"]]
        if page["next_cursor"] is None:
            break
        url = f"/v1/api-keys?limit=2&cursor={page['next_cursor']}"
    assert made <= set(seen)
    assert len(seen) == len(set(seen))
    answer = api.call("GET", "/v1/api-keys?cursor=made-up")
    assert (answer.status, answer.code) == (400, "invalid_cursor")
    for limit in ("0", "1001", "x"):
        assert api.call("GET", f"/v1/api-keys?limit={limit}").status == 400
    assert api.call("GET", "/v1/api-keys?tenant_id=t1").status == 400


@pytest.mark.parametrize("key_id", ["x", "..", NEVER[:-1], NEVER + "0"])
def test_a_malformed_id(api: Any, key_id: str) -> None:
    """400, as for objects."""
    assert api.call("GET", f"/v1/api-keys/{key_id}").status == 400


@pytest.mark.parametrize(
    "asked",
    [
        {"name": None},
        {"scopes": None},
        {"scopes": []},
        {"is_active": None},
        {"tenants": ["t1"]},
        {"namespaces": None},
        {"expires_at": at(-1)},
        {"prefix": "x"},
        {"colour": "red"},
    ],
)
def test_a_change_that_cannot_be(
    api: Any, create: Callable[..., Any], change: Callable[..., Any], asked: Any
) -> None:
    """What cannot change, be nothing, or lie in the past is 400, and nothing changed."""
    before = create().json
    del before["key"]
    answer = change(before["id"], **(asked | {"name": asked.get("name", "renamed")}))
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert api.call("GET", f"/v1/api-keys/{before['id']}").json == before


def test_changing_a_key(create: Callable[..., Any], change: Callable[..., Any]) -> None:
    """What is named changes, the rest stays; null takes an expiry away."""
    document = create(expires_at=at(1)).json
    del document["key"]
    later = at(5)
    scopes = ["objects:delete", "objects:read"]
    changed = change(document["id"], name="new", scopes=scopes, expires_at=later)
    assert changed.status == 200
    parsed = datetime.fromisoformat(changed.json["expires_at"])
    assert parsed == datetime.fromisoformat(later)
    expected = {"name": "new", "scopes": scopes, "expires_at": changed.json["expires_at"]}
    assert changed.json == document | expected
    assert change(document["id"], expires_at=None).json["expires_at"] is None
    assert change(document["id"]).json["name"] == "new"


def test_a_key_cannot_saw_off_its_branch(api: Any, create: Callable[..., Any]) -> None:
    """Neither revoke nor weaken itself: 409."""
    document = create(scopes=["keys:manage", "objects:read"]).json
    headers = {"X-API-Key": document["key"]}
    url = f"/v1/api-keys/{document['id']}"
    refusals = [api.call("DELETE", url, key=None, headers=headers)]
    for asked in ({"is_active": False}, {"scopes": ["keys:manage"]}, {"expires_at": at(1)}):
        body = json.dumps(asked).encode()
        refusals.append(api.call("PATCH", url, key=None, headers=headers | PATCH, body=body))
    assert {(each.status, each.code) for each in refusals} == {(409, "invalid_state")}
    assert use(api, document["key"]).status == 200


def test_a_revoked_key_is_refused_within_5_s(
    api: Any, create: Callable[..., Any], change: Callable[..., Any]
) -> None:
    """Although its answers were kept; its document stays, and it can be taken back."""
    document = create().json
    text, key_id = document["key"], document["id"]
    assert use(api, text).status == 200
    answer = api.call("DELETE", f"/v1/api-keys/{key_id}")
    assert (answer.status, answer.body) == (204, b"")
    deadline = datetime.now(UTC) + timedelta(seconds=5)
    asked = datetime.now(UTC)
    while (status := use(api, text).status) == 200:
        assert asked < deadline  # what counts is when it was asked, however slow the answer
        asked = datetime.now(UTC)
    assert status == 401
    assert api.call("GET", f"/v1/api-keys/{key_id}").json["is_active"] is False
    assert api.call("DELETE", f"/v1/api-keys/{key_id}").status == 204
    assert change(key_id, is_active=True).json["is_active"] is True


def test_a_rotation_overlaps(api: Any, create: Callable[..., Any]) -> None:
    """The old key and its successor work side by side until the old one is ended."""
    old, new = create(name="service").json, create(name="service").json
    assert (use(api, old["key"]).status, use(api, new["key"]).status) == (200, 200)
    api.call("DELETE", f"/v1/api-keys/{old['id']}")
    while use(api, old["key"]).status == 200:
        pass
    assert use(api, new["key"]).status == 200


def test_methods_that_keys_do_not_know(api: Any) -> None:
    """405, with those that they do."""
    answer = api.call("PUT", "/v1/api-keys", body=b"{}")
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}
    answer = api.call("POST", f"/v1/api-keys/{uuid4()}", body=b"{}")
    assert answer.status == 405
    assert {"GET", "PATCH", "DELETE"} <= set(answer.headers["allow"].replace(" ", "").split(","))


def test_a_key_confined_to_a_prefix(api: Any, create: Callable[..., Any]) -> None:
    """It reads, writes and lists the namespaces that begin so, and no other."""
    scopes = ["objects:read", "objects:write", "objects:delete"]
    tenant = f"t-{uuid4()}"
    text = create(tenants=[tenant], scopes=scopes, namespaces=["team-*", "open"]).json["key"]
    headers = {"X-API-Key": text}
    outside = api.put(f"/v1/objects/by-key/teamX/{tenant}/k", b"x")["id"]
    for namespace, status in (("team-a", 201), ("open", 201), ("teamX", 403), ("team", 403)):
        url = f"/v1/objects/by-key/{namespace}/{tenant}/k"
        assert api.call("PUT", url, key=None, headers=headers, body=b"x").status == status
    listed = api.call("GET", "/v1/objects", key=None, headers=headers).json["objects"]
    assert {each["namespace"] for each in listed} == {"team-a", "open"}
    for method in ("GET", "DELETE"):
        answer = api.call(method, f"/v1/objects/{outside}", key=None, headers=headers)
        assert answer.status == 404
