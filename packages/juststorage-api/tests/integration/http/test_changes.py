"""PATCH, copy and bulk delete: what is changed at all is changed whole."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import pytest

PATCH = "application/merge-patch+json"
WRONG = '"sha256:' + "0" * 64 + '"'


def send(
    api: Any,
    method: str,
    url: str,
    document: Any,
    *,
    media_type: str = PATCH,
    key: str = "admin",
    **headers: str,
) -> Any:
    """A call with a JSON body."""
    fields = {"Content-Type": media_type}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return api.call(method, url, body=json.dumps(document).encode(), headers=fields, key=key)


def post(api: Any, url: str, document: Any, **options: Any) -> Any:
    """A POST with a JSON body."""
    return send(api, "POST", url, document, media_type="application/json", **options)


@pytest.fixture
def stored(api: Any, base: str) -> Any:
    """An object with a key, a type and metadata."""
    return api.put(
        f"{base}/k",
        b"content",
        headers={"Content-Type": "text/plain", "X-Object-Metadata": '{"a": {"b": 1, "c": 2}}'},
    )


@pytest.fixture
def url(stored: Any, tenant: str) -> str:
    """Where it is, by id."""
    return f"/v1/objects/{stored['id']}?tenant_id={tenant}"


def described(api: Any, stored: Any) -> Any:
    """What the service says about it now."""
    answer = api.call("GET", f"/v1/objects/{stored['id']}/metadata?tenant_id={stored['tenant_id']}")
    assert answer.status == 200
    return answer.json


class TestPatch:
    @pytest.mark.parametrize(
        ("document", "code"),
        [
            ({"storage_class": None}, "invalid_request"),
            ({"storage_class": "warm"}, "invalid_request"),
            ({"key": ""}, "invalid_name"),
            ({"key": "a\nb"}, "invalid_name"),
            ({"key": 1}, "invalid_request"),
            ({"content_type": ""}, "invalid_request"),
            ({"content_type": "no type"}, "invalid_request"),
            ({"content_type": "ü/ü"}, "invalid_request"),
            ({"metadata": []}, "invalid_request"),
            ({"metadata": {"x": "y" * 20_000}}, "invalid_metadata"),
            ({"metadata": {"x": "\u0000"}}, "invalid_metadata"),
            ({"id": "other"}, "invalid_request"),
            ({"Metadata": {}}, "invalid_request"),
            ([], "invalid_request"),
            ("k", "invalid_request"),
            (None, "invalid_request"),
        ],
        ids=str,
    )
    def test_what_cannot_be_is_refused(
        self, api: Any, stored: Any, document: Any, code: str
    ) -> None:
        """A wrong value changes nothing, not even what is right beside it."""
        url = f"/v1/objects/{stored['id']}?tenant_id={stored['tenant_id']}"
        answer = send(api, "PATCH", url, document)
        assert (answer.status, answer.code) == (400, code)
        assert described(api, stored) == stored

    def test_only_merge_patches(self, api: Any, url: str, stored: Any) -> None:
        """Plain JSON, and what is no JSON, is 415 or 400."""
        for media_type in ("application/json", "application/json-patch+json", "text/plain"):
            answer = send(api, "PATCH", url, {"key": None}, media_type=media_type)
            assert (answer.status, answer.code) == (415, "unsupported_media_type")
        answer = api.call("PATCH", url, body=b"{", headers={"Content-Type": PATCH})
        assert (answer.status, answer.code) == (400, "invalid_request")
        assert described(api, stored) == stored

    def test_every_part(self, api: Any, url: str, stored: Any, base: str) -> None:
        """Merged, set, and answered as it is now; the content and its tag stay."""
        answer = send(
            api,
            "PATCH",
            url,
            {"metadata": {"a": {"b": None}, "d": [1]}, "content_type": "image/png", "key": "new/k"},
        )
        assert answer.status == 200
        assert answer.headers["etag"] == f'"{stored["content_hash"]}"'
        changed = answer.json
        assert changed["metadata"] == {"a": {"c": 2}, "d": [1]}
        assert (changed["content_type"], changed["key"]) == ("image/png", "new/k")
        assert changed["updated_at"] > stored["updated_at"]
        same = ("id", "content_hash", "size_bytes", "created_at", "storage_class")
        assert [changed[name] for name in same] == [stored[name] for name in same]
        assert described(api, stored) == changed
        assert api.call("GET", f"{base}/k").status == 404
        assert api.call("GET", f"{base}/new/k").body == b"content"

    def test_null_resets(self, api: Any, url: str, base: str) -> None:
        """No key, no metadata, the default type."""
        answer = send(api, "PATCH", url, {"metadata": None, "content_type": None, "key": None})
        assert answer.status == 200
        changed = answer.json
        assert (changed["metadata"], changed["key"]) == ({}, None)
        assert changed["content_type"] == "application/octet-stream"
        assert api.call("GET", f"{base}/k").status == 404

    def test_nothing_to_change(self, api: Any, url: str, stored: Any) -> None:
        """An empty patch, and the class that it has already, leave updated_at alone."""
        for document in ({}, {"storage_class": "hot"}):
            answer = send(api, "PATCH", url, document)
            assert (answer.status, answer.json) == (200, stored)

    def test_a_key_that_is_held(self, api: Any, url: str, stored: Any, base: str) -> None:
        """409 with the holder; neither key nor metadata changes, nor does the class."""
        holder = api.put(f"{base}/held", b"other")
        for more in ({}, {"storage_class": "cold"}):
            answer = send(api, "PATCH", url, {"key": "held", "metadata": {"x": 1}, **more})
            assert (answer.status, answer.code) == (409, "key_conflict")
            assert answer.json["object_id"] == holder["id"]
            assert answer.json["content_hash"] == holder["content_hash"]
            assert described(api, stored) == stored

    def test_preconditions(self, api: Any, url: str, stored: Any) -> None:
        """If-Match must hold, for a move too; an object that is not there is 404, not 412."""
        for document in ({"metadata": {"x": 1}}, {"storage_class": "cold"}, {}):
            answer = send(api, "PATCH", url, document, If_Match=WRONG)
            assert (answer.status, answer.code) == (412, "precondition_failed")
            assert described(api, stored) == stored
        absent = url.replace(stored["id"], str(uuid4()))
        answer = send(api, "PATCH", absent, {"metadata": {"x": 1}}, If_Match=WRONG)
        assert (answer.status, answer.code) == (404, "not_found")
        right = f'"{stored["content_hash"]}"'
        answer = send(api, "PATCH", url, {"metadata": {"x": 1}}, If_Match=right)
        assert answer.status == 200

    def test_access(self, api: Any) -> None:
        """Another tenant's object is one that never existed, as is one of another namespace."""
        mine = api.put("/v1/objects/by-key/open/t1/patched", b"x")
        hidden = api.put("/v1/objects/by-key/closed/t1/patched", b"x")
        for key, object_id, status in (
            ("reader", mine["id"], 403),
            ("other", mine["id"], 404),
            ("other", str(uuid4()), 404),
            ("confined", hidden["id"], 404),
            ("confined", mine["id"], 200),
            ("writer", mine["id"], 200),
        ):
            answer = send(api, "PATCH", f"/v1/objects/{object_id}", {"metadata": {}}, key=key)
            assert answer.status == status, (key, answer)
        answer = send(api, "PATCH", "/v1/objects/no-id", {}, key="one")
        assert (answer.status, answer.code) == (400, "invalid_request")


class TestMove:
    def test_there(self, api: Any, url: str, stored: Any, base: str) -> None:
        """The bytes are in the other class, under the same key and id, with the other changes."""
        answer = send(api, "PATCH", url, {"storage_class": "cold", "metadata": {"moved": True}})
        assert answer.status == 200
        moved = answer.json
        assert moved["storage_class"] == "cold"
        assert moved["metadata"] == {"a": {"b": 1, "c": 2}, "moved": True}
        assert (moved["id"], moved["key"]) == (stored["id"], "k")
        assert described(api, stored) == moved
        assert api.call("HEAD", f"{base}/k").headers["etag"] == f'"{stored["content_hash"]}"'

    def test_a_move_that_fails_halfway(self, api: Any, url: str, stored: Any, tenant: str) -> None:
        """The cold store of this server breaks off every read: the object stays where it is."""
        assert send(api, "PATCH", url, {"storage_class": "cold"}).status == 200
        before = described(api, stored)
        cold = api.put(f"/v1/objects/by-key/ns/{tenant}/even?storage_class=cold", bytes(200_000))
        for document in ({"storage_class": "hot"}, {"storage_class": "hot", "key": "other"}):
            answer = send(api, "PATCH", f"/v1/objects/{cold['id']}?tenant_id={tenant}", document)
            assert (answer.status, answer.json["code"]) == (503, "unavailable")
            assert described(api, cold) == cold
        assert described(api, stored) == before
        assert api.state()["staged"] == 0

    def test_no_room(self, api: Any, base: str, tenant: str) -> None:
        """The cold store of this server has room for 10 MB: more is refused before a byte moves."""
        large = api.put(f"{base}/large", bytes(11_000_000))
        url = f"/v1/objects/{large['id']}?tenant_id={tenant}"
        answer = send(api, "PATCH", url, {"storage_class": "cold"})
        assert (answer.status, answer.code) == (507, "storage_full")
        assert described(api, large) == large


class TestCopy:
    def test_within_a_class(self, api: Any, stored: Any, tenant: str, base: str) -> None:
        """A new object with the same bytes, type and metadata, and no key of its own."""
        answer = post(api, f"/v1/objects/{stored['id']}/copy?tenant_id={tenant}", {})
        assert answer.status == 201
        copied = answer.json
        assert copied["id"] != stored["id"]
        assert copied["key"] is None
        same = ("content_hash", "content_type", "metadata", "namespace", "storage_class")
        assert [copied[name] for name in same] == [stored[name] for name in same]
        assert answer.headers["etag"] == f'"{stored["content_hash"]}"'
        api.call("DELETE", f"{base}/k")
        assert api.call("GET", answer.headers["location"]).body == b"content"

    def test_without_a_body(self, api: Any, stored: Any, tenant: str) -> None:
        """Nothing to say is a copy without a key."""
        answer = api.call("POST", f"/v1/objects/{stored['id']}/copy?tenant_id={tenant}")
        assert answer.status == 201
        assert answer.json["key"] is None

    def test_elsewhere(self, api: Any, stored: Any, tenant: str) -> None:
        """Into another namespace, under a key, in the other class."""
        target = {"namespace": "archive", "key": "dir/copy", "storage_class": "cold"}
        answer = post(api, f"/v1/objects/{stored['id']}/copy?tenant_id={tenant}", target)
        assert answer.status == 201
        assert {name: answer.json[name] for name in target} == target
        head = api.call("HEAD", f"/v1/objects/by-key/archive/{tenant}/dir/copy")
        assert head.headers["x-content-hash"] == stored["content_hash"]

    def test_refusals(self, api: Any, stored: Any, tenant: str) -> None:
        """A held key, a failed condition, an unknown field, an absent source, If-Match."""
        url = f"/v1/objects/{stored['id']}/copy?tenant_id={tenant}"
        absent = f"/v1/objects/{uuid4()}/copy?tenant_id={tenant}"
        for where, document, headers, status, code in (
            (url, {"key": "k"}, {}, 409, "key_conflict"),
            (url, {"key": "k"}, {"If_None_Match": "*"}, 412, "precondition_failed"),
            (url, {"keys": "k"}, {}, 400, "invalid_request"),
            (url, {"namespace": "-"}, {}, 400, "invalid_name"),
            (url, {"key": "a\u0000"}, {}, 400, "invalid_name"),
            (url, {}, {"If_Match": "*"}, 400, "invalid_request"),
            (absent, {}, {}, 404, "not_found"),
            (f"/v1/objects/no-id/copy?tenant_id={tenant}", {}, {}, 400, "invalid_request"),
        ):
            answer = post(api, where, document, **headers)
            assert (answer.status, answer.code) == (status, code), (document, answer)
        plain = send(api, "POST", url, {}, media_type="text/plain")
        assert (plain.status, plain.code) == (415, "unsupported_media_type")
        assert api.state()["objects"].get(f"{tenant}/COMMITTED") == 1

    def test_access(self, api: Any) -> None:
        """It takes the scopes to read and to write, and the target's namespace."""
        mine = api.put("/v1/objects/by-key/open/t1/copied", b"x")
        hidden = api.put("/v1/objects/by-key/closed/t1/copied", b"x")
        for key, object_id, document, status in (
            ("reader", mine["id"], {}, 403),
            ("writer", mine["id"], {}, 403),
            ("other", mine["id"], {}, 404),
            ("confined", hidden["id"], {}, 404),
            ("confined", mine["id"], {"namespace": "closed"}, 403),
            ("confined", mine["id"], {}, 201),
        ):
            answer = post(api, f"/v1/objects/{object_id}/copy", document, key=key)
            assert answer.status == status, (key, document, answer)

    def test_bytes_that_are_lost(self, api: Any, base: str, tenant: str) -> None:
        """A copy into the other class finds out, and leaves nothing."""
        lost = api.put(f"{base}/lost", b"to be lost " + tenant.encode())
        api.call("GET", f"/-/lose?{lost['content_hash']}", key=None)
        url = f"/v1/objects/{lost['id']}/copy?tenant_id={tenant}"
        answer = post(api, url, {"storage_class": "cold"})
        assert (answer.status, answer.code) == (500, "blob_missing")
        assert api.state()["objects"].get(f"{tenant}/COMMITTED") == 1
        assert f"{tenant}/WRITING" not in api.state()["objects"]


class TestDeleteMany:
    def test_lists_in_the_order_asked(self, api: Any, base: str, tenant: str) -> None:
        """Each id once, upper case or not; what is not there is missing, and no error."""
        one, two = (api.put(f"{base}/{name}", b"x")["id"] for name in "ab")
        absent = str(uuid4())
        ids = [two, absent, one.upper(), two, one]
        answer = post(api, "/v1/objects/delete", {"tenant_id": tenant, "ids": ids})
        assert answer.status == 200
        assert answer.json == {"deleted": [two, one], "missing": [absent]}
        again = post(api, "/v1/objects/delete", {"tenant_id": tenant, "ids": ids})
        assert again.json == {"deleted": [], "missing": [two, absent, one]}

    def test_the_edges(self, api: Any, tenant: str) -> None:
        """None is fine, a thousand are, one more is not."""
        ids = [str(uuid4()) for _ in range(1001)]
        for count, status in ((0, 200), (1000, 200), (1001, 400)):
            document = {"tenant_id": tenant, "ids": ids[:count]}
            answer = post(api, "/v1/objects/delete", document)
            assert answer.status == status
        for document in (
            {"tenant_id": tenant},
            {"tenant_id": tenant, "ids": ["no-id"]},
            {"tenant_id": tenant, "ids": [1]},
            {"tenant_id": tenant, "ids": "all"},
            {"tenant_id": tenant, "ids": [], "all": True},
        ):
            answer = post(api, "/v1/objects/delete", document)
            assert (answer.status, answer.code) == (400, "invalid_request"), document

    def test_access(self, api: Any) -> None:
        """What the caller may not see is missing, like what never existed."""
        mine = api.put("/v1/objects/by-key/open/t1/bulk", b"x")["id"]
        hidden = api.put("/v1/objects/by-key/closed/t1/bulk", b"x")["id"]
        document = {"ids": [mine, hidden]}
        assert post(api, "/v1/objects/delete", document, key="reader").status == 403
        foreign = post(api, "/v1/objects/delete", {**document, "tenant_id": "t1"}, key="other")
        assert (foreign.status, foreign.code) == (403, "tenant_forbidden")
        other = post(api, "/v1/objects/delete", document, key="other")
        assert other.json == {"deleted": [], "missing": [mine, hidden]}
        confined = post(api, "/v1/objects/delete", document, key="confined")
        assert confined.json == {"deleted": [mine], "missing": [hidden]}

    def test_other_methods(self, api: Any) -> None:
        """The names of these calls are no ids: 405 says what they answer to."""
        for name in ("delete", "search"):
            for method in ("GET", "PUT", "DELETE", "PATCH"):
                answer = api.call(method, f"/v1/objects/{name}")
                assert (answer.status, answer.code) == (405, "method_not_allowed")
                assert answer.headers["allow"] == "POST"
