"""Resumable uploads over HTTP: what is refused, what is kept, what is answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

HELLO = b"hello, world"
TUS = {"Tus-Resumable": "1.0.0"}

Begin = Callable[..., str]
Send = Callable[..., Any]


@pytest.fixture
def post(api: Any, tenant: str) -> Callable[..., Any]:
    """Sends what begins an upload."""

    def send(query: str = "&key=k&replace=true", key: str = "admin", **fields: str) -> Any:
        headers = {**TUS, "Upload-Length": str(len(HELLO))}
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        url = f"/v1/uploads?namespace=ns&tenant_id={tenant}{query}"
        return api.call("POST", url, key=key, headers={n: v for n, v in headers.items() if v})

    return send


@pytest.fixture
def begin(api: Any, post: Callable[..., Any]) -> Iterator[Begin]:
    """Begins an upload; its URL. What is left of it then is given up at the end."""
    made: list[str] = []

    def make(*args: Any, **fields: str) -> str:
        answer = post(*args, **fields)
        assert answer.status == 201, answer
        made.append(answer.headers["location"])
        return made[-1]

    yield make
    for url in made:
        assert api.call("DELETE", url).status in {204, 404}


@pytest.fixture
def send(api: Any) -> Send:
    """Sends bytes of an upload."""

    def patch(url: str, offset: int, body: bytes = b"", key: str = "admin", **fields: str) -> Any:
        headers = {
            **TUS,
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
        }
        headers |= {name.replace("_", "-"): value for name, value in fields.items()}
        headers = {name: value for name, value in headers.items() if value}
        return api.call("PATCH", url, key=key, headers=headers, body=body)

    return patch


@pytest.mark.parametrize(
    ("query", "fields", "told"),
    [
        ("", {"Upload_Length": ""}, (400, "invalid_request")),
        ("", {"Upload_Length": "-1"}, (400, "invalid_request")),
        ("", {"Upload_Length": "1" * 19}, (400, "invalid_request")),
        ("", {"Upload_Length": "20000001"}, (413, "body_too_large")),
        ("", {"Tus_Resumable": "0.2.2"}, (412, "precondition_failed")),
        ("", {"Idempotency_Key": "once"}, (400, "invalid_request")),
        ("", {"If_Match": '"x"'}, (400, "invalid_request")),
        ("", {"Content_Type": "multipart/form-data; boundary=x"}, (415, "unsupported_media_type")),
        ("", {"Content_Type": "text"}, (400, "invalid_request")),
        ("", {"X_Object_Metadata": "[]"}, (400, "invalid_metadata")),
        ("", {"X_Content_Hash": "sha256:0"}, (400, "invalid_request")),
        ("&replace=true", {}, (400, "invalid_request")),
        ("&key=k&replace=yes", {}, (400, "invalid_request")),
        ("&nonsense=1", {}, (400, "invalid_request")),
        ("&key=%00", {}, (400, "invalid_name")),
        ("&key=k&replace=true", {"If_Match": "*"}, (412, "precondition_failed")),
        ("&storage_class=warm", {}, (400, "invalid_request")),
        ("&storage_class=cold", {}, (501, "unsupported_operation")),
    ],
)
def test_what_does_not_begin(  # noqa: PLR0917  of fixtures and cases
    post: Any, api: Any, tenant: str, query: str, fields: dict[str, str], told: tuple[int, str]
) -> None:
    """Each with its code, and nothing of it is left."""
    answer = post(query, **fields)
    assert (answer.status, answer.code) == told
    assert not [name for name in api.state()["objects"] if name.startswith(tenant)]


def test_a_body_does_not_belong_there(api: Any, tenant: str) -> None:
    """It would be taken for sent, and is not."""
    url = f"/v1/uploads?namespace=ns&tenant_id={tenant}"
    answer = api.call("POST", url, headers={"Upload-Length": "5"}, body=b"hello")
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_what_is_spoken(api: Any) -> None:
    """OPTIONS says what a client of tus asks."""
    answer = api.call("OPTIONS", "/v1/uploads")
    assert answer.status == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    assert answer.headers["tus-extension"] == "creation,expiration,termination"
    assert answer.headers["tus-max-size"] == "20000000"
    assert api.call("OPTIONS", "/v1/uploads", key=None).status == 401
    assert api.call("OPTIONS", "/v1/uploads?x=1").code == "invalid_request"


def test_in_parts(api: Any, begin: Begin, send: Send, base: str) -> None:
    """From the first byte to the object, as a client of tus does it."""
    url = begin(Content_Type="text/plain", X_Object_Metadata='{"a":1}')
    asked = api.call("HEAD", url, headers=TUS)
    assert asked.status == 200
    assert (asked.headers["upload-offset"], asked.headers["upload-length"]) == ("0", "12")
    assert asked.headers["cache-control"] == "no-store"
    first = send(url, 0, HELLO[:5])
    assert (first.status, first.headers["upload-offset"], first.body) == (204, "5", b"")
    assert first.headers["upload-expires"] and "location" not in first.headers
    assert api.call("GET", f"{base}/k").status == 404
    assert api.call("HEAD", url).headers["upload-offset"] == "5"
    last = send(url, 5, HELLO[5:])
    assert (last.status, last.headers["upload-offset"]) == (204, "12")
    assert last.headers["etag"] == f'"{api.digest(HELLO)}"'
    got = api.call("GET", f"{base}/k")
    assert (got.body, got.headers["content-type"]) == (HELLO, "text/plain")
    assert got.headers["x-object-id"] == last.headers["x-object-id"]
    assert api.call("GET", last.headers["location"]).body == HELLO
    done = api.call("HEAD", url)
    assert done.headers["upload-offset"] == done.headers["upload-length"] == "12"
    assert done.headers["location"] == last.headers["location"]


def test_the_object_where_it_is_asked_for(api: Any, begin: Begin, send: Send, base: str) -> None:
    """With `Prefer` the last answer is that of a PUT, and so is its repetition."""
    api.put(f"{base}/k", b"old")
    url = begin(X_Object_Metadata='{"a":1}')
    for offset, body in ((0, HELLO), (12, b"")):
        answer = send(url, offset, body, Prefer="return=representation")
        assert answer.status == 200
        assert answer.headers["preference-applied"] == "return=representation"
        assert answer.json["metadata"] == {"a": 1}
        assert answer.json["size_bytes"] == 12
        assert answer.json["content_hash"] == api.digest(HELLO)
    assert api.call("GET", f"{base}/k").body == HELLO
    assert send(url, 5, HELLO[5:]).code == "offset_mismatch"


def test_replaced_since(api: Any, begin: Begin, send: Send, base: str) -> None:
    """Whoever has not heard how it ended is told, and sends nothing over what came later."""
    url = begin()
    done = send(url, 0, HELLO)
    api.put(f"{base}/k", b"newer")
    asked = api.call("HEAD", url)
    assert (asked.status, asked.headers["upload-offset"]) == (200, "12")
    again = send(url, 12, Prefer="return=representation")
    assert (again.status, again.json["content_hash"]) == (200, api.digest(HELLO))
    assert again.headers["x-object-id"] == done.headers["x-object-id"]
    assert api.call("GET", f"{base}/k").body == b"newer"


def test_how_long_it_lives(api: Any, begin: Begin, send: Send) -> None:
    """Told truly: without a byte it is the short lease, also after a request that brought none."""

    def until(answer: Any) -> float:
        return parsedate_to_datetime(answer.headers["upload-expires"]).timestamp() - time.time()

    url = begin()
    assert until(send(url, 0)) < 3600
    assert until(send(url, 0, HELLO[:5])) > 80_000


def test_another_offset(api: Any, begin: Begin, send: Send) -> None:
    """409, with the one that is right, and nothing lost."""
    url = begin()
    send(url, 0, HELLO[:5])
    answer = send(url, 0, HELLO)
    assert (answer.status, answer.code, answer.json["offset"]) == (409, "offset_mismatch", 5)
    assert send(url, 5, HELLO[5:]).status == 204


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"Content_Type": "application/octet-stream"}, (415, "unsupported_media_type")),
        ({"Upload_Offset": ""}, (400, "invalid_request")),
        ({"Upload_Offset": "x"}, (400, "invalid_request")),
        ({"Content_Encoding": "gzip"}, (415, "unsupported_media_type")),
        ({"Tus_Resumable": "2.0.0"}, (412, "precondition_failed")),
    ],
)
def test_what_is_not_taken(
    api: Any, begin: Begin, send: Send, fields: dict[str, str], told: tuple[int, str]
) -> None:
    """Not one byte."""
    url = begin()
    answer = send(url, 0, HELLO, **fields)
    assert (answer.status, answer.code) == told
    assert api.call("HEAD", url).headers["upload-offset"] == "0"


def test_too_much(api: Any, begin: Begin, send: Send) -> None:
    """More than was announced is 413, and what is right can still be sent."""
    url = begin()
    answer = send(url, 0, HELLO + b"!")
    assert (answer.status, answer.code) == (413, "body_too_large")
    assert send(url, 0, HELLO).status == 204


def test_a_wrong_digest(api: Any, begin: Begin, send: Send, tenant: str) -> None:
    """400 at the end, nothing stored, and nothing to go on with."""
    url = begin(Repr_Digest=api.repr_digest(b"something else"))
    answer = send(url, 0, HELLO)
    assert (answer.status, answer.code) == (400, "digest_mismatch")
    assert api.call("HEAD", url).status == 404
    assert not [name for name in api.state()["objects"] if name.startswith(tenant)]


def test_a_precondition_that_is_lost_meanwhile(
    api: Any, begin: Begin, send: Send, base: str
) -> None:
    """412 at the end; the object that came first stays."""
    url = begin(If_None_Match="*")
    api.put(f"{base}/k", b"first")
    answer = send(url, 0, HELLO)
    assert (answer.status, answer.code) == (412, "precondition_failed")
    assert api.call("GET", f"{base}/k").body == b"first"


def test_a_claimed_key(api: Any, post: Any, begin: Begin, base: str) -> None:
    """Without `replace` the key is the upload's from the beginning, until it is given up."""
    url = begin("&key=k")
    refused = post("&key=k")
    assert (refused.status, refused.code) == (409, "key_conflict")
    assert api.call("DELETE", url).status == 204
    for method in ("HEAD", "DELETE"):
        assert api.call(method, url).status == 404
    assert begin("&key=k")


def test_the_connection_breaks(api: Any, begin: Begin, send: Send, base: str) -> None:
    """What came before the break is kept, and told by HEAD; the rest completes it."""
    data = bytes(range(256)) * 40_000
    url = begin(Upload_Length=str(len(data)))
    with api.connect() as wire:
        head = (
            f"PATCH {url} HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.secret('admin')}\r\n"
            "Content-Type: application/offset+octet-stream\r\nUpload-Offset: 0\r\n"
            f"Content-Length: {len(data)}\r\n\r\n"
        )
        wire.sendall(head.encode() + data[: len(data) // 2])
    deadline = time.monotonic() + 20
    while not (offset := int(api.call("HEAD", url).headers["upload-offset"])):
        assert time.monotonic() < deadline, "nothing was kept"
    assert 0 < offset <= len(data) // 2
    answer = send(url, offset, data[offset:])
    while answer.status == 409 and time.monotonic() < deadline:
        offset = int(api.call("HEAD", url).headers["upload-offset"])
        answer = send(url, offset, data[offset:])
    assert answer.status == 204
    assert api.call("GET", f"{base}/k").body == data


def test_whose_it_is(api: Any, send: Send) -> None:
    """Another tenant, another namespace, or a forged name: 404, all the same."""
    began = api.call(
        "POST", "/v1/uploads?namespace=ns&key=whose", key="one", headers={"Upload-Length": "12"}
    )
    url = began.headers["location"]
    for key in ("other", "confined"):
        for method in ("HEAD", "DELETE"):
            assert api.call(method, url, key=key).status == 404
        assert send(url, 0, HELLO, key=key).code == "not_found"
    for forged in (url[:-3], url + "AAA", "/v1/uploads/x", url.replace("uploads/", "uploads/%41")):
        assert api.call("HEAD", forged, key="one").status == 404
        assert send(forged, 0, HELLO, key="one").code == "not_found"
    for key in ("reader", "deleter"):
        assert send(url, 0, HELLO, key=key).code == "scope_missing"
        assert api.call("HEAD", url, key=key).status == 403
    assert send(url, 0, HELLO, key="both").status == 204
    assert api.call("DELETE", "/v1/objects/by-key/ns/t1/whose", key="one").status == 204


def test_other_methods_and_paths(api: Any, begin: Begin) -> None:
    """405 where there is something, 404 where there is nothing."""
    url = begin()
    assert api.call("GET", "/v1/uploads").status == 405
    answer = api.call("GET", url)
    assert (answer.status, answer.headers["allow"]) == (405, "HEAD, PATCH, DELETE")
    for nothing in ("/v1/uploads/", f"{url}/x"):
        assert api.call("HEAD", nothing).status == 404
    assert api.call("HEAD", f"{url}?tenant_id=t1").status == 400


def test_what_the_audit_log_says(api: Any, begin: Begin, send: Send, log: Any) -> None:
    """Who stored the object is told once, by the request that did, and who gave one up."""
    url = begin()
    done = send(url, 0, HELLO, X_Request_Id="stored-by-patch")
    line = log.wait("juststorage.audit", "object.created", "stored-by-patch")
    assert done.headers["x-object-id"] in line
    api.call("DELETE", begin(), headers={"X-Request-Id": "given-up-by-delete"})
    assert log.wait("juststorage.audit", "upload.given_up", "given-up-by-delete")
