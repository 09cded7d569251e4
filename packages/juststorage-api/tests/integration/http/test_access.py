"""Tenants, namespaces and scopes: nothing of one reaches another."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

NEVER = "01a21098-f290-7cc4-9518-d64de021c446"

CALLS: dict[str, tuple[str, str, str]] = {
    # method, URL with {tenant}, {id} and {key}, the scope that it needs
    "post": ("POST", "/v1/objects?namespace=ns&tenant_id={tenant}", "objects:write"),
    "put": ("PUT", "/v1/objects/by-key/ns/{tenant}/{key}", "objects:write"),
    "get by key": ("GET", "/v1/objects/by-key/ns/{tenant}/{key}", "objects:read"),
    "head by key": ("HEAD", "/v1/objects/by-key/ns/{tenant}/{key}", "objects:read"),
    "delete by key": ("DELETE", "/v1/objects/by-key/ns/{tenant}/{key}", "objects:delete"),
    "get by id": ("GET", "/v1/objects/{id}?tenant_id={tenant}", "objects:read"),
    "head by id": ("HEAD", "/v1/objects/{id}?tenant_id={tenant}", "objects:read"),
    "delete by id": ("DELETE", "/v1/objects/{id}?tenant_id={tenant}", "objects:delete"),
    "metadata": ("GET", "/v1/objects/{id}/metadata?tenant_id={tenant}", "objects:read"),
    "list": ("GET", "/v1/objects?tenant_id={tenant}", "objects:read"),
}
BY_ID = [name for name, (_, url, _) in CALLS.items() if "{id}" in url]
HOLDERS = {"objects:read": "reader", "objects:write": "writer", "objects:delete": "deleter"}


@pytest.fixture
def call(api: Any) -> Callable[..., Any]:
    """Makes one of `CALLS`."""

    def make(name: str, **options: Any) -> Any:
        method, url, _ = CALLS[name]
        filled = url.format(
            tenant=options.pop("tenant", "t1"),
            id=options.pop("id", NEVER),
            key=options.pop("object_key", "k"),
        )
        body = b"x" if method in {"POST", "PUT"} else None
        return api.call(method, filled, body=body, **options)

    return make


@pytest.mark.parametrize("name", CALLS)
def test_a_tenant_that_is_not_held_is_forbidden(call: Callable[..., Any], name: str) -> None:
    """Naming a foreign tenant is 403, on every call."""
    answer = call(name, tenant="t2", key="one")
    assert answer.status == 403
    if not name.startswith("head"):
        assert answer.code == "tenant_forbidden"


@pytest.mark.parametrize("name", CALLS)
def test_every_call_needs_its_scope(call: Callable[..., Any], name: str) -> None:
    """The scope alone is enough to be let in; all the others together are not."""
    needed = CALLS[name][2]
    object_key = str(uuid4())
    assert call(name, key=HOLDERS[needed], object_key=object_key).status not in {401, 403}
    for scope, holder in [*HOLDERS.items(), ("keys:manage", "manager")]:
        if scope != needed:
            answer = call(name, key=holder, object_key=object_key)
            assert answer.status == 403
            if not name.startswith("head"):
                assert answer.code == "scope_missing"
                assert answer.json["scope"] == needed


@pytest.mark.parametrize("name", BY_ID)
def test_a_foreign_id_is_like_none(api: Any, call: Callable[..., Any], name: str) -> None:
    """Another tenant's id gets the very answer of an id that never was."""
    object_id = api.put("/v1/objects/by-key/ns/t2/foreign", b"x", key="other")["id"]
    headers = {"X-Request-Id": "the-same-id"}
    foreign = call(name, key="one", id=object_id, headers=headers)
    never = call(name, key="one", id=NEVER, headers=headers)
    assert foreign.status == never.status == 404
    assert foreign.body.replace(object_id.encode(), NEVER.encode()) == never.body
    for answer in (foreign, never):
        del answer.headers["date"]
    assert foreign.headers == never.headers
    assert api.call("GET", "/v1/objects/by-key/ns/t2/foreign", key="other").status == 200


@pytest.mark.parametrize("name", BY_ID)
def test_an_id_in_a_namespace_that_is_not_held_is_like_none(
    api: Any, call: Callable[..., Any], name: str
) -> None:
    """A confined caller cannot tell an object elsewhere from one that never was."""
    object_id = api.put("/v1/objects/by-key/ns/t1/elsewhere", b"x", key="one")["id"]
    assert call(name, key="confined", id=object_id).status == 404
    assert api.call("GET", "/v1/objects/by-key/ns/t1/elsewhere", key="one").status == 200


@pytest.mark.parametrize("name", ["post", "put", "get by key", "head by key", "delete by key"])
def test_a_namespace_that_is_not_held_is_forbidden(call: Callable[..., Any], name: str) -> None:
    """Naming it is 403, as naming a foreign tenant is."""
    assert call(name, key="confined").status == 403


def test_listing_a_namespace_that_is_not_held_is_forbidden(api: Any) -> None:
    """The same for lists."""
    answer = api.call("GET", "/v1/objects?namespace=ns", key="confined")
    assert (answer.status, answer.code) == (403, "tenant_forbidden")


def test_a_confined_caller_lists_its_namespaces(api: Any) -> None:
    """Without a namespace the list has what the caller holds and nothing else."""
    inside = api.put("/v1/objects/by-key/open/t1/inside", b"x", key="confined")
    api.put("/v1/objects/by-key/ns/t1/outside", b"x", key="one")
    listed = api.call("GET", "/v1/objects?limit=1000", key="confined").json["objects"]
    assert {each["namespace"] for each in listed} == {"open"}
    assert inside["id"] in {each["id"] for each in listed}
    assert api.call("GET", f"/v1/objects/{inside['id']}", key="confined").status == 200


def test_lists_show_one_tenant(api: Any) -> None:
    """What another tenant stores is in no list, whatever is asked."""
    api.put("/v1/objects/by-key/ns/t2/hidden", b"x", key="other")
    for query in ("", "?prefix=h", "?namespace=ns", "?limit=1000"):
        listed = api.call("GET", f"/v1/objects{query}", key="one").json["objects"]
        assert {each["tenant_id"] for each in listed} <= {"t1"}


def test_a_cursor_is_of_its_tenant(api: Any) -> None:
    """A cursor from one tenant's list means nothing in another's."""
    for number in range(2):
        api.put(f"/v1/objects/by-key/ns/t1/page{number}", b"x", key="one")
    cursor = api.call("GET", "/v1/objects?limit=1", key="one").json["next_cursor"]
    answer = api.call("GET", f"/v1/objects?limit=1&cursor={cursor}", key="other")
    assert (answer.status, answer.code) == (400, "invalid_cursor")


def test_the_only_tenant_need_not_be_named(api: Any) -> None:
    """Who holds one tenant may leave it out; who holds several may not."""
    answer = api.call("POST", "/v1/objects?namespace=ns", key="one", body=b"x")
    assert answer.json["tenant_id"] == "t1"
    for key in ("both", "admin"):
        answer = api.call("POST", "/v1/objects?namespace=ns", key=key, body=b"x")
        assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize("size", [1, 200_000])
@pytest.mark.parametrize("name", ["post", "put"])
def test_an_upload_does_not_tell_what_others_have(
    api: Any, call: Callable[..., Any], name: str, size: int
) -> None:
    """Bytes that another tenant has get the very answer, and header, of bytes that nobody has."""
    theirs, nobodys = (uuid4().bytes + bytes(size) for _ in range(2))
    api.put(f"/v1/objects/by-key/ns/t2/{uuid4()}", theirs, key="other")
    answers = []
    for data in (theirs, nobodys):
        url = CALLS[name][1].format(tenant="t1", key=uuid4())
        answer = api.call(CALLS[name][0], url, body=data, key="one")
        assert answer.status == 201
        own = {"id", "key", "content_hash", "created_at", "updated_at", "uploaded_at"}
        seen = {k: v for k, v in answer.json.items() if k not in own}
        fields = {k.lower(): len(v) for k, v in answer.headers.items() if k.lower() != "date"}
        answers.append((sorted(answer.json), seen, fields))
    assert answers[0] == answers[1]


def test_a_hash_alone_is_no_upload(api: Any) -> None:
    """Whoever names the hash of what another tenant has, and does not send the bytes, gets none."""
    theirs = uuid4().bytes
    api.put(f"/v1/objects/by-key/ns/t2/{uuid4()}", theirs, key="other")
    digest = base64.b64encode(hashlib.sha256(theirs).digest()).decode()
    url = f"/v1/objects/by-key/ns/t1/{uuid4()}"
    for field in ("Repr-Digest", "Content-Digest"):
        headers = {field: f"sha-256=:{digest}:"}
        answer = api.call("PUT", url, body=b"", key="one", headers=headers)
        assert (answer.status, answer.code) == (400, "digest_mismatch")
    assert api.call("GET", url, key="one").status == 404


def test_equal_bytes_of_two_tenants_are_two_objects(api: Any) -> None:
    """Sharing a blob shows nowhere: both are created, and deleting one leaves the other."""
    for tenant, key in (("t1", "one"), ("t2", "other")):
        url = f"/v1/objects/by-key/ns/{tenant}/shared"
        assert api.call("PUT", url, key=key, body=b"the same bytes").status == 201
    api.call("DELETE", "/v1/objects/by-key/ns/t1/shared", key="one")
    answer = api.call("GET", "/v1/objects/by-key/ns/t2/shared", key="other")
    assert answer.body == b"the same bytes"


@pytest.mark.parametrize("scheme", ["ApiKey", "apikey", "APIKEY"])
def test_both_ways_to_send_a_key(api: Any, scheme: str) -> None:
    """In its own header, or as Authorization; the scheme's case does not matter."""
    headers = {"Authorization": f"{scheme} {api.secret('one')}"}
    assert api.call("GET", "/v1/objects", key=None, headers=headers).status == 200


def test_a_401_tells_how_to_come_back(api: Any) -> None:
    """WWW-Authenticate names the scheme."""
    answer = api.call("GET", "/v1/objects", key=None)
    assert answer.headers["www-authenticate"] == 'ApiKey realm="juststorage"'


def test_no_document_is_kept_by_a_cache(api: Any) -> None:
    """What one caller is shown is nobody else's: a cache in between cannot tell keys apart."""
    stored = api.put("/v1/objects/by-key/ns/t1/uncached", b"x")
    key_id = api.call("GET", "/v1/api-keys").json["api_keys"][0]["id"]
    for url in (
        "/v1/objects?tenant_id=t1",
        f"/v1/objects/{stored['id']}/metadata?tenant_id=t1",
        "/v1/usage?tenant_id=t1",
        "/v1/api-keys",
        f"/v1/api-keys/{key_id}",
        "/v1/admin/gc",
        "/v1/admin/plugins",
        "/v1/admin/read-only",
        "/v1/objects?tenant_id=no+tenant",
    ):
        assert api.call("GET", url).headers["cache-control"] == "no-store", url
