"""The contract of HTTP over both metadata stores that last, with two workers and real volumes."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from juststorage_postgres.testing import *  # noqa: F403

KEY = "the-key-of-these-tests-only"
TENANT = "acme"
PATCH = "application/merge-patch+json"


class Service:
    """Calls to a server; a connection each, so that both workers get some."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    def call(
        self, method: str, target: str, body: Any = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, fields and body of an answer; a body that is no bytes is sent as JSON."""
        fields = {"X-API-Key": KEY} | {n.replace("_", "-"): v for n, v in headers.items()}
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        try:
            connection.request(method, target, body=body, headers=fields)
            response = connection.getresponse()
            answered = {name.lower(): value for name, value in response.getheaders()}
            return response.status, answered, response.read()
        finally:
            connection.close()

    def json(self, method: str, target: str, body: Any = None, **headers: str) -> Any:
        """The document of an answer that must be a success."""
        status, _, content = self.call(method, target, body, **headers)
        assert status in {200, 201}, (status, content)
        return json.loads(content)

    def put(self, key: str, data: bytes, *, query: str = "", **headers: str) -> Any:
        """Store an object under a key."""
        return self.json("PUT", f"/v1/objects/by-key/ns/{TENANT}/{key}{query}", data, **headers)

    def usage(self) -> Any:
        """What the tenant stores: objects and bytes, by class."""
        found = self.json("GET", f"/v1/usage?tenant_id={TENANT}")
        by = [
            (part["storage_class"], part["objects"], part["logical_bytes"]) for part in found["by"]
        ]
        return (found["objects"], found["logical_bytes"], found["physical_bytes"]), by

    def search(self, **filters: Any) -> list[str]:
        """The keys of what is found, in its order."""
        found = self.json("POST", "/v1/objects/search", {"tenant_id": TENANT, **filters})
        return [each["key"] for each in found["objects"]]


@pytest.fixture(params=["sqlite", "postgres"])
def service(request: pytest.FixtureRequest, serve: Any, tmp_path: Path) -> Service:
    """A server with two workers, and volumes for hot and cold."""
    environment = {
        "JUSTSTORAGE__METADATA__BACKEND": request.param,
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__COLD__BACKEND": "localfs",
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        "JUSTSTORAGE__SERVER__WORKERS": "2",
    }
    if request.param == "postgres":
        url = request.getfixturevalue("postgres_url")
        environment["JUSTSTORAGE__METADATA__POSTGRES__URL"] = url
    (tmp_path / "data").mkdir()
    server = serve("--data-dir", str(tmp_path / "data"), environment=environment)
    server.wait_workers(2)
    return Service(server.address)


def all_at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """The answers to calls that are made at the same time."""
    answers: list[Any] = [None] * count
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        answers[number] = call(number)

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_an_object_from_patch_to_delete(service: Service) -> None:
    """Changed, moved and back, copied, counted, deleted with others: each as it is answered."""
    data = bytes(range(256)) * 1000
    size = len(data)
    stored = service.put("one", data, X_Object_Metadata='{"a": {"b": 1}, "c": 2}')
    url = f"/v1/objects/{stored['id']}"
    query = f"?tenant_id={TENANT}"
    assert service.usage() == ((1, size, size), [("hot", 1, size)])
    patch = {"storage_class": "cold", "key": "moved", "metadata": {"a": None, "d": "x"}}
    moved = service.json("PATCH", url + query, patch, Content_Type=PATCH)
    assert (moved["storage_class"], moved["key"]) == ("cold", "moved")
    assert moved["metadata"] == {"c": 2, "d": "x"}
    assert service.call("GET", url + query)[2] == data
    assert service.usage() == ((1, size, size), [("cold", 1, size)])
    copied = service.json("POST", f"{url}/copy{query}", {"storage_class": "hot", "key": "copy"})
    assert service.call("GET", f"/v1/objects/{copied['id']}{query}")[2] == data
    assert service.usage() == ((2, 2 * size, 2 * size), [("cold", 1, size), ("hot", 1, size)])
    same = service.json("POST", f"{url}/copy{query}")
    assert (same["storage_class"], same["key"], same["metadata"]) == (
        "cold",
        None,
        {"c": 2, "d": "x"},
    )
    back = service.json("PATCH", url + query, {"storage_class": "hot"}, Content_Type=PATCH)
    assert back["storage_class"] == "hot"
    assert service.usage()[1] == [("cold", 1, size), ("hot", 2, 2 * size)]
    collected = service.json("POST", "/v1/admin/gc", {"grace_seconds": 0})
    assert collected["errors"] == 0
    for each in (stored, copied, same):
        assert service.call("GET", f"/v1/objects/{each['id']}{query}")[2] == data
    ids = [same["id"], "01a21098-f290-7cc4-9518-d64de021c446", stored["id"], copied["id"]]
    gone = service.json("POST", "/v1/objects/delete", {"tenant_id": TENANT, "ids": ids})
    assert gone == {"deleted": [ids[0], *ids[2:]], "missing": [ids[1]]}
    assert service.usage() == ((0, 0, 0), [])


def test_search(service: Service) -> None:
    """Filters filter, wildcards are letters, a cursor goes on."""
    service.put("a%25b", b"1", Content_Type="image/png")
    service.put("a_b", b"22", Content_Type="image/jpeg")
    service.put("axb", b"333", query="?storage_class=cold", X_Object_Metadata='{"m": {"n": 1}}')
    for filters, keys in (
        ({}, ["axb", "a_b", "a%b"]),
        ({"key_contains": "_"}, ["a_b"]),
        ({"key_prefix": "a%"}, ["a%b"]),
        ({"content_type": "image/*"}, ["a_b", "a%b"]),
        ({"storage_class": "cold"}, ["axb"]),
        ({"size_range": {"min": 2, "max": 2}}, ["a_b"]),
        ({"metadata": {"m.n": 1}}, ["axb"]),
        ({"metadata": {"m.n": "1"}}, []),
        ({"created_at_range": {"to": "2020-01-01T00:00:00Z"}}, []),
        ({"sort_by": "size_bytes", "sort_direction": "asc"}, ["a%b", "a_b", "axb"]),
    ):
        assert service.search(**filters) == keys, filters
    first = service.json("POST", "/v1/objects/search", {"tenant_id": TENANT, "limit": 2})
    assert service.search(limit=9, cursor=first["next_cursor"]) == ["a%b"]
    status, _, content = service.call(
        "POST",
        "/v1/objects/search",
        {"tenant_id": TENANT, "key_prefix": "a", "cursor": first["next_cursor"]},
    )
    assert (status, json.loads(content)["code"]) == (400, "invalid_cursor")


@pytest.mark.parametrize("size", [10, 200_000], ids=["whole", "streamed"])
def test_of_many_writers_with_one_tag_one_wins(service: Service, size: int) -> None:
    """Compare and swap, over two workers."""
    target = f"/v1/objects/by-key/ns/{TENANT}/swapped"
    etag = f'"{service.put("swapped", b"seen")["content_hash"]}"'
    answers = all_at_once(
        12,
        lambda number: service.call("PUT", target, b"%010d" % number * (size // 10), If_Match=etag),
    )
    assert Counter(status for status, _, _ in answers) == {200: 1, 412: 11}
    [won] = [number for number, (status, _, _) in enumerate(answers) if status == 200]
    assert service.call("GET", target)[2].startswith(b"%010d" % won)


@pytest.mark.parametrize("size", [10, 200_000], ids=["whole", "streamed"])
def test_requests_with_one_key_make_one_object(service: Service, size: int) -> None:
    """At once, over two workers, and again afterwards: one object, one answer."""
    target = f"/v1/objects?namespace=ns&tenant_id={TENANT}"
    answers = all_at_once(
        12, lambda _: service.call("POST", target, bytes(size), Idempotency_Key="once")
    )
    done = [json.loads(content) for status, _, content in answers if status == 201]
    assert done
    assert all(each == done[0] for each in done)
    for status, fields, content in answers:
        if status != 201:
            assert (status, json.loads(content)["code"]) == (409, "idempotency_in_flight")
            assert "retry-after" in fields
    again = service.json("POST", target, bytes(size), Idempotency_Key="once")
    assert again == done[0]
    status, _, content = service.call("POST", target, b"other", Idempotency_Key="once")
    assert (status, json.loads(content)["code"]) == (422, "idempotency_mismatch")
    assert service.usage()[0] == (1, size, size)
