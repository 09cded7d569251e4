"""Objects come, are replaced and go: what the calls that succeed answer."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

HELLO = b"hello"


def test_post_answers_with_the_object(api: Any, tenant: str) -> None:
    """A POST answers 201 with the whole document, a Location that works and the entity tag."""
    answer = api.call(
        "POST",
        f"/v1/objects?namespace=ns&tenant_id={tenant}&key=a/b&storage_class=cold",
        headers={"Content-Type": "text/plain", "X-Object-Metadata": '{ "a": [1, "\\u00e4"] }'},
        body=HELLO,
    )
    assert answer.status == 201
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["etag"] == f'"{api.digest(HELLO)}"'
    found = answer.json
    assert list(found) == [
        "id", "namespace", "tenant_id", "key", "status", "storage_class", "content_hash",
        "size_bytes", "content_type", "metadata", "created_at", "updated_at",
    ]  # fmt: skip
    assert found["key"] == "a/b"
    assert found["status"] == "COMMITTED"
    assert found["storage_class"] == "cold"
    assert found["content_hash"] == api.digest(HELLO)
    assert found["size_bytes"] == 5
    assert found["content_type"] == "text/plain"
    assert found["metadata"] == {"a": [1, "ä"]}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", found["created_at"])
    assert answer.headers["location"].startswith(f"/v1/objects/{found['id']}")
    assert api.call("GET", answer.headers["location"]).body == HELLO


def test_location_names_the_tenant_only_where_it_must(api: Any) -> None:
    """Who holds one tenant follows the bare path; who holds several is given the parameter."""
    url = "/v1/objects?namespace=ns&tenant_id=t1"
    single = api.call("POST", url, key="one", body=HELLO)
    several = api.call("POST", url, key="both", body=HELLO)
    assert single.headers["location"] == f"/v1/objects/{single.json['id']}"
    assert several.headers["location"] == f"/v1/objects/{several.json['id']}?tenant_id=t1"


def test_defaults_of_an_upload(api: Any, tenant: str) -> None:
    """Without headers: octets, no metadata, no key, hot."""
    answer = api.call("POST", f"/v1/objects?namespace=ns&tenant_id={tenant}", body=b"")
    assert answer.status == 201
    assert answer.json["key"] is None
    assert answer.json["content_type"] == "application/octet-stream"
    assert answer.json["metadata"] == {}
    assert answer.json["storage_class"] == "hot"
    assert answer.json["size_bytes"] == 0


def test_neither_length_nor_chunks_is_an_empty_object(api: Any, tenant: str) -> None:
    """RFC 9112: a request without Content-Length and Transfer-Encoding has no body; no 411."""
    request = (
        f"PUT /v1/objects/by-key/ns/{tenant}/k HTTP/1.1\r\nHost: x\r\n"
        f"X-API-Key: {api.secret('admin')}\r\n\r\n"
    )
    answer = api.raw(request.encode())
    assert answer.status == 201
    assert answer.json["size_bytes"] == 0


def test_put_creates_then_replaces(api: Any, base: str, tenant: str) -> None:
    """201 the first time, 200 with a new id the second, and nothing is inherited."""
    first = api.call(
        "PUT",
        f"{base}/k",
        body=HELLO,
        headers={"X-Object-Metadata": '{"a":1}', "Content-Type": "text/plain"},
    )
    second = api.call("PUT", f"{base}/k", body=b"other")
    assert (first.status, second.status) == (201, 200)
    assert first.json["id"] != second.json["id"]
    assert second.json["metadata"] == {}
    assert second.json["content_type"] == "application/octet-stream"
    assert api.call("GET", f"{base}/k").body == b"other"
    old = api.call("GET", f"/v1/objects/{first.json['id']}?tenant_id={tenant}")
    assert (old.status, old.code) == (404, "not_found")


def test_post_never_replaces(api: Any, base: str, tenant: str) -> None:
    """A POST on a live key is 409 and names the holder."""
    holder = api.put(f"{base}/k", HELLO)
    answer = api.call("POST", f"/v1/objects?namespace=ns&tenant_id={tenant}&key=k", body=b"other")
    assert (answer.status, answer.code) == (409, "key_conflict")
    assert answer.json["object_id"] == holder["id"]
    assert answer.json["content_hash"] == api.digest(HELLO)
    assert api.call("GET", f"{base}/k").body == HELLO


def test_a_key_is_decoded_once(api: Any, base: str) -> None:
    """Escaped and plain slashes are one key; an escaped percent sign stays one."""
    assert api.put(f"{base}/a%2Fb", HELLO)["key"] == "a/b"
    assert api.call("GET", f"{base}/a/b").body == HELLO
    assert api.put(f"{base}/%252F", HELLO)["key"] == "%2F"
    assert api.put(f"{base}/../%2e%2e", HELLO)["key"] == "../.."
    assert api.put(f"{base}/a+b", HELLO)["key"] == "a+b"


def test_keys_are_compared_byte_for_byte(api: Any, base: str) -> None:
    """Composed and decomposed letters, and letter case, make different keys."""
    for key in ("%C3%A4", "a%CC%88", "A", "a"):
        assert api.call("PUT", f"{base}/{key}", body=HELLO).status == 201


def test_download_has_exactly_the_documented_headers(api: Any, base: str) -> None:
    """GET sends the stored type and what a cache, a browser and a careful client need."""
    stored = api.put(f"{base}/k", HELLO, headers={"Content-Type": "text/html"})
    answer = api.call("GET", f"{base}/k?filename=caf%C3%A9+%22x%22.html")
    assert answer.status == 200
    assert answer.body == HELLO
    modified = answer.headers.pop("last-modified")
    assert re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", modified)
    for volatile in ("date", "server", "x-request-id"):
        del answer.headers[volatile]
    assert answer.headers == {
        "accept-ranges": "bytes",
        "cache-control": "private, no-cache",
        "content-disposition": 'attachment; filename="caf_ _x_.html";'
        " filename*=UTF-8''caf%C3%A9%20%22x%22.html",
        "content-length": "5",
        "content-security-policy": "sandbox",
        "content-type": "text/html",
        "etag": f'"{api.digest(HELLO)}"',
        "repr-digest": api.repr_digest(HELLO),
        "x-content-hash": api.digest(HELLO),
        "x-content-type-options": "nosniff",
        "x-object-id": stored["id"],
    }


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 3_000_000])
def test_bytes_come_back_as_they_went(api: Any, base: str, size: int) -> None:
    """Whatever the size: the same bytes, and HEAD tells what GET sends."""
    data = bytes(index * 7 % 251 for index in range(size))
    api.put(f"{base}/k", data)
    got = api.call("GET", f"{base}/k")
    asked = api.call("HEAD", f"{base}/k")
    assert got.body == data
    assert got.headers["content-length"] == str(size)
    assert asked.status == 200
    assert asked.body == b""
    for answer in (got, asked):
        del answer.headers["date"], answer.headers["x-request-id"]
    assert asked.headers == got.headers


def test_by_id_is_the_same_object(api: Any, base: str, tenant: str) -> None:
    """An id, in either case, finds what the key finds; its metadata is the upload's answer."""
    stored = api.put(f"{base}/k", HELLO, headers={"X-Object-Metadata": '{"a":{"b":null}}'})
    by_id = f"/v1/objects/{stored['id']}"
    assert api.call("GET", f"{by_id.upper().replace('/V1/OBJECTS', '/v1/objects')}"
                    f"?tenant_id={tenant}").body == HELLO  # fmt: skip
    described = api.call("GET", f"{by_id}/metadata?tenant_id={tenant}")
    assert described.status == 200
    assert described.json == stored


def test_delete_by_key_and_by_id(api: Any, base: str, tenant: str) -> None:
    """204 without a body; then 404, and the key is free."""
    for url in ("key", "id"):
        stored = api.put(f"{base}/k", HELLO)
        by_id = f"/v1/objects/{stored['id']}?tenant_id={tenant}"
        answer = api.call("DELETE", f"{base}/k" if url == "key" else by_id)
        assert answer.status == 204
        assert answer.body == b""
        assert "content-length" not in answer.headers
        for method, gone in (("GET", f"{base}/k"), ("GET", by_id), ("DELETE", by_id)):
            missing = api.call(method, gone)
            assert (missing.status, missing.code) == (404, "not_found")
    assert api.call("PUT", f"{base}/k", body=HELLO).status == 201


def test_every_digest_field_is_taken(api: Any, base: str) -> None:
    """Right digests in all three fields at once let the upload pass."""
    headers = {
        "X-Content-Hash": api.digest(HELLO),
        "Repr-Digest": f"md5=:AA==:, {api.repr_digest(HELLO)};q=1",
        "Content-Digest": api.repr_digest(HELLO),
    }
    assert api.call("PUT", f"{base}/k", body=HELLO, headers=headers).status == 201


@pytest.mark.parametrize("offered", ["a-trace.id_42", "x" * 128])
def test_a_well_formed_request_id_is_kept(api: Any, offered: str) -> None:
    """The caller's id comes back, on success and in a problem."""
    for url in ("/health", "/v1/nothing"):
        answer = api.call("GET", url, headers={"X-Request-Id": offered})
        assert answer.headers["x-request-id"] == offered


@pytest.mark.parametrize("offered", ["short", "x" * 129, "with space", 'quo"te-----', "é" * 9])
def test_a_malformed_request_id_is_replaced(api: Any, offered: str) -> None:
    """What could not safely stand in a log gets an id of ours instead."""
    answer = api.call("GET", "/health", headers={"X-Request-Id": offered})
    assert re.fullmatch(r"[A-Za-z0-9._-]{8,128}", answer.headers["x-request-id"])
    assert answer.headers["x-request-id"] != offered


def test_request_ids_differ(api: Any) -> None:
    """Ours are never used twice."""
    ids = {api.call("GET", "/health").headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


def test_the_access_log_has_a_line_for_each_request(
    api: Any, base: str, tenant: str, log: Any
) -> None:
    """Who did what, how much of it and how long it took; the path without its query."""
    api.put(f"{base}/logged%20key", HELLO)
    answer = api.call("GET", f"{base}/logged%20key?filename=secret")
    log.wait("juststorage.access", f"PUT {base}/logged%20key 201")
    line = json.loads(log.wait("juststorage.access", f"GET {base}/logged%20key 200 5 bytes"))
    fields = line["fields"]
    assert fields.pop("duration_ms") > 0
    assert fields.pop("request_id") == answer.headers["x-request-id"]
    assert fields.pop("subject").startswith("api_key:")
    assert fields == {
        "method": "GET",
        "path": f"{base}/logged%20key",
        "status": 200,
        "sent_bytes": 5,
        "received_bytes": 0,
        "tenant_id": tenant,
    }


def test_the_log_of_a_refusal_has_its_code(api: Any, log: Any) -> None:
    """And no caller, where there is none."""
    answer = api.call("GET", "/v1/objects/refused", key=None)
    line = json.loads(log.wait("juststorage.access", answer.headers["x-request-id"]))
    assert line["fields"]["code"] == "unauthenticated"
    assert "subject" not in line["fields"]


def test_metadata_is_bounded_at_16_kib_of_compact_json(api: Any, base: str) -> None:
    """Exactly 16384 bytes pass."""
    text = json.dumps({"a": "x" * (16384 - len('{"a":""}'))}, separators=(",", ":"))
    assert len(text) == 16384
    stored = api.put(f"{base}/k", HELLO, headers={"X-Object-Metadata": text})
    assert stored["metadata"] == json.loads(text)
