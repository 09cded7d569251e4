"""Every limit at its edge: what is on it works, what is over it has its documented answer."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest

from tests.wire.wire import Answer, Service, parse, read_answers

JSON = "Content-Type: application/json"
PATCH = "Content-Type: application/merge-patch+json"


def post(service: Service, path: str, value: Any) -> Answer:
    """A call with a JSON body."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return service.ask("POST", path, JSON, body=body)


def put(service: Service, tenant: str, *fields: str, body: bytes = b"hello") -> Answer:
    """An upload."""
    return service.ask("PUT", f"/v1/objects/by-key/ns/{tenant}/k", *fields, body=body)


def nested(levels: int) -> dict[str, Any]:
    """Objects in objects, `levels` of them."""
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


def test_body_bytes(service: Service, tenant: str) -> None:
    """3,000,000 bytes are taken; one more is 413, before the body where its length is announced."""
    assert put(service, tenant, body=bytes(3_000_000)).status == 201
    path = f"/v1/objects/by-key/ns/{tenant}/k"
    head = service.head("PUT", path, "Content-Length: 3000001", "Expect: 100-continue")
    answers = service.send(head, half_close=False, method="PUT")
    assert [(each.status, each.code) for each in answers] == [(413, "body_too_large")]
    chunked = service.head("PUT", path, "Transfer-Encoding: chunked", "Connection: close")
    data = b"2dc6c1\r\n" + bytes(3_000_001) + b"\r\n0\r\n\r\n"
    answers = service.send(chunked + data, half_close=False)
    assert [(each.status, each.code) for each in answers] == [(413, "body_too_large")]


def test_metadata_bytes(service: Service, tenant: str) -> None:
    """100 bytes of metadata, by header and after a PATCH."""
    fits, over = ({"a": "x" * count} for count in (92, 93))

    def field(value: Any) -> str:
        return f"X-Object-Metadata: {json.dumps(value, separators=(',', ':'))}"

    assert put(service, tenant, field(over)).code == "invalid_metadata"
    stored = put(service, tenant, field(fits))
    assert stored.status == 201
    path = f"/v1/objects/{stored.json['id']}?tenant_id={tenant}"

    def change(metadata: Any) -> Answer:
        body = json.dumps({"metadata": metadata}).encode()
        return service.ask("PATCH", path, PATCH, body=body)

    assert change({"b": 1}).code == "invalid_metadata"
    assert change(over).code == "invalid_metadata"
    assert change({"a": "y"}).status == 200
    assert change({"b": 1}).json["metadata"] == {"a": "y", "b": 1}


def test_json_bytes(service: Service) -> None:
    """2048 bytes of a JSON body; one more is 413, announced or not."""
    at_limit = json.dumps({"tenant_id": "t"}).encode().ljust(2048)
    assert post(service, "/v1/objects/search", at_limit).status == 200
    assert post(service, "/v1/objects/search", at_limit + b" ").code == "body_too_large"
    head = service.head(
        "POST", "/v1/objects/search", JSON, "Transfer-Encoding: chunked", "Connection: close"
    )
    answers = service.send(head + b"801\r\n" + at_limit + b" \r\n0\r\n\r\n", half_close=False)
    assert [each.code for each in answers] == ["body_too_large"]


def test_json_depth(service: Service, tenant: str) -> None:
    """Five levels in a body, and four in metadata."""
    stored = put(service, tenant, f"X-Object-Metadata: {json.dumps(nested(4))}")
    assert stored.status == 201
    assert (
        put(service, tenant, f"X-Object-Metadata: {json.dumps(nested(5))}").code
        == "invalid_metadata"
    )
    path = f"/v1/objects/{stored.json['id']}?tenant_id={tenant}"
    for levels, status in ((4, 200), (5, 400), (200, 400)):
        body = json.dumps({"metadata": nested(levels)}).encode()
        assert service.ask("PATCH", path, PATCH, body=body).status == status
    for bracket in (b"[", b'{"a":'):
        answer = post(service, "/v1/objects/search", bracket * 400)
        assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize("path", ["/v1/objects?tenant_id=t&", "/v1/api-keys?"])
def test_page_size(service: Service, path: str) -> None:
    """60 on a page."""
    assert service.ask("GET", f"{path}limit=60").status == 200
    answer = service.ask("GET", f"{path}limit=61")
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_page_size_of_searches(service: Service) -> None:
    """The same for a search."""
    for limit, status in ((60, 200), (61, 400), (0, 400), (10**30, 400)):
        answer = post(service, "/v1/objects/search", {"tenant_id": "t", "limit": limit})
        assert answer.status == status


def test_ids_of_a_bulk_call(service: Service) -> None:
    """Three ids at once."""
    for count, status in ((3, 200), (4, 400)):
        ids = [str(uuid4()) for _ in range(count)]
        assert post(service, "/v1/objects/delete", {"tenant_id": "t", "ids": ids}).status == status


def test_ranges(service: Service, tenant: str) -> None:
    """Four ranges after merging."""
    put(service, tenant, body=bytes(100))
    path = f"/v1/objects/by-key/ns/{tenant}/k"
    for count, status in ((4, 206), (5, 416)):
        ranges = ",".join(f"{at * 3}-{at * 3}" for at in range(count))
        assert service.ask("GET", path, f"Range: bytes={ranges}").status == status


def expecting(service: Service, stack: ExitStack, tenant: str, key: int) -> socket.socket:
    """An upload under way: its head is sent."""
    wire = stack.enter_context(service.connect())
    path = f"/v1/objects/by-key/ns/{tenant}/{key}"
    wire.sendall(
        service.head("PUT", path, "Content-Length: 5", "Expect: 100-continue", "Connection: close")
    )
    return wire


def test_uploads_in_flight(service: Service, tenant: str) -> None:
    """The thirteenth is 503 at once, asked to come back; the twelve that run are not disturbed."""
    for attempt in range(100):
        with ExitStack() as stack:
            running = [expecting(service, stack, f"{tenant}{attempt}", at) for at in range(12)]
            if not all(wire.recv(25).startswith(b"HTTP/1.1 100 ") for wire in running):
                continue  # what an earlier test left was not over yet
            for body in (b"hello", bytes(100_000)):
                answer = put(service, tenant, body=body)
                assert (answer.status, answer.code) == (503, "unavailable")
                assert int(answer.headers["retry-after"]) >= 1
            refused = expecting(service, stack, tenant, 12)
            assert [each.status for each in read_answers(refused)] == [503]
            assert service.ask("GET", "/health").status == 200
            for wire in running:
                wire.sendall(b"hello")
            found = [read_answers(wire)[-1].status for wire in running]
            # One that was too slow because of us here says nothing about the limit.
            assert set(found) <= {201, 408} and 201 in found
            break
    else:
        raise AssertionError("twelve uploads were never under way")
    assert put(service, tenant).status == 201


DRIPS: dict[str, tuple[str, ...]] = {
    "small": ("Content-Length: 1000",),
    "large": ("Content-Length: 1000000",),
    "chunked": ("Transfer-Encoding: chunked",),
}


@pytest.mark.parametrize("name", DRIPS)
def test_dripping_bodies(service: Service, tenant: str, name: str) -> None:
    """A byte now and then keeps nobody waiting for ever: below the slowest rate it is 408."""
    path = f"/v1/objects/by-key/ns/{tenant}/k"
    began = time.monotonic()
    with service.connect() as wire:
        wire.sendall(service.head("PUT", path, *DRIPS[name]))
        wire.settimeout(0.1)
        received = b""
        while b"\r\n\r\n" not in received and time.monotonic() - began < 20:
            try:
                received += wire.recv(65_536)
            except TimeoutError:
                wire.sendall(b"1\r\na\r\n" if name == "chunked" else b"a")
        wire.settimeout(20)
        while not received.endswith(b"}"):
            received += wire.recv(65_536)
    parsed = parse(received, "PUT")
    assert parsed is not None, received
    answer, _ = parsed
    assert (answer.status, answer.code) == (408, "upload_too_slow")
    assert time.monotonic() - began < 15
    assert service.ask("GET", path).status == 404


@pytest.mark.parametrize("path", ["/v1/objects/search", "/v1/objects/delete", "/v1/api-keys"])
def test_refusals_of_json_come_before_its_body(service: Service, path: str) -> None:
    """Who waits for 100 Continue is told 401, 413 and 415 instead."""
    for fields, key, status in (
        ([JSON, "Content-Length: 10"], None, 401),
        ([JSON, "Content-Length: 5000"], "ok", 413),
        (["Content-Type: text/plain", "Content-Length: 10"], "ok", 415),
        ([JSON, "Content-Encoding: gzip", "Content-Length: 10"], "ok", 415),
    ):
        with_key = {} if key else {"key": None}
        head = service.head("POST", path, *fields, "Expect: 100-continue", **with_key)
        answers = service.send(head, half_close=False)
        assert [answer.status for answer in answers] == [status]
        assert answers[0].headers["connection"] == "close"
