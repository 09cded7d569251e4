"""Idempotency-Key over HTTP: sent twice, done once; and of concurrent writers one wins."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest


@pytest.fixture
def post_url(tenant: str) -> str:
    """Where new objects of the tenant go."""
    return f"/v1/objects?namespace=ns&tenant_id={tenant}"


def objects_of(api: Any, tenant: str) -> list[Any]:
    """All objects of the tenant."""
    listed: list[Any] = api.call("GET", f"/v1/objects?tenant_id={tenant}").json["objects"]
    return listed


def keyed(text: str = "key-1", **more: str) -> dict[str, str]:
    """Header fields with an idempotency key."""
    return {"Idempotency-Key": text, **{name.replace("_", "-"): v for name, v in more.items()}}


def all_at_once(count: int, call: Callable[[int], Any]) -> list[Any]:
    """The answers of calls that are made at the same time, each in a thread."""
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


@pytest.mark.parametrize("size", [5, 300_000], ids=["whole", "streamed"])
class TestUploads:
    def test_a_retried_post(self, api: Any, tenant: str, post_url: str, size: int) -> None:
        """The first answer again, status, location and body; one object."""
        first, second = (
            api.call("POST", f"{post_url}&key=k", body=bytes(size), headers=keyed())
            for _ in range(2)
        )
        assert (first.status, second.status) == (201, 201)
        assert second.json == first.json
        for name in ("location", "etag"):
            assert second.headers[name] == first.headers[name]
        assert len(objects_of(api, tenant)) == 1
        assert api.state()["staged"] == 0

    def test_a_retried_put(self, api: Any, tenant: str, base: str, size: int) -> None:
        """201 stays 201 and 200 stays 200; a retry replaces nothing, not even a newer object."""
        created = api.call("PUT", f"{base}/k", body=bytes(size), headers=keyed("create"))
        replaced = api.call("PUT", f"{base}/k", body=b"2" * size, headers=keyed("replace"))
        assert (created.status, replaced.status) == (201, 200)
        for text, body, first in (
            ("create", bytes(size), created),
            ("replace", b"2" * size, replaced),
        ):
            again = api.call("PUT", f"{base}/k", body=body, headers=keyed(text))
            assert (again.status, again.json) == (first.status, first.json)
        assert api.call("GET", f"{base}/k").body == b"2" * size

    def test_another_request(self, api: Any, tenant: str, post_url: str, size: int) -> None:
        """Other content, type, metadata, target or method with that key is 422."""
        body, url = bytes(size), f"{post_url}&key=k"
        assert api.call("POST", url, body=body, headers=keyed()).status == 201
        put = f"/v1/objects/by-key/ns/{tenant}/k"
        for method, where, content, fields in (
            ("POST", url, b"1" + body[1:], {}),
            ("POST", url, body + b"1", {}),
            ("POST", url, body, {"Content_Type": "text/plain"}),
            ("POST", url, body, {"X_Object_Metadata": '{"a":1}'}),
            ("POST", f"{post_url}&key=l", body, {}),
            ("POST", post_url, body, {}),
            ("POST", f"{url}&storage_class=cold", body, {}),
            ("POST", url.replace("namespace=ns", "namespace=n2"), body, {}),
            ("PUT", put, body, {}),
        ):
            answer = api.call(method, where, body=content, headers=keyed(**fields))
            assert (answer.status, answer.code) == (422, "idempotency_mismatch"), (method, where)
        assert len(objects_of(api, tenant)) == 1

    def test_the_first_answer_outlives_its_object(
        self, api: Any, tenant: str, post_url: str, size: int
    ) -> None:
        """A retry after a delete does not bring it back."""
        first = api.call("POST", post_url, body=bytes(size), headers=keyed())
        api.call("DELETE", first.headers["location"])
        again = api.call("POST", post_url, body=bytes(size), headers=keyed())
        assert (again.status, again.json) == (201, first.json)
        assert objects_of(api, tenant) == []

    def test_a_failure_is_not_kept(self, api: Any, tenant: str, base: str, size: int) -> None:
        """What was refused is tried anew."""
        wrong = {"X-Content-Hash": "sha256:" + "0" * 64}
        answer = api.call("PUT", f"{base}/k", body=bytes(size), headers={**keyed(), **wrong})
        assert (answer.status, answer.code) == (400, "digest_mismatch")
        conditional = {"If-Match": '"sha256:' + "0" * 64 + '"'}
        answer = api.call("PUT", f"{base}/k", body=bytes(size), headers={**keyed(), **conditional})
        assert answer.status == 412
        assert api.call("PUT", f"{base}/k", body=bytes(size), headers=keyed()).status == 201

    def test_both_at_once(self, api: Any, tenant: str, post_url: str, size: int) -> None:
        """One is done; the others wait, or get its answer. Nobody makes a second object."""
        answers = all_at_once(
            8, lambda _: api.call("POST", post_url, body=bytes(size), headers=keyed())
        )
        done = [answer for answer in answers if answer.status == 201]
        assert done and len({answer.json["id"] for answer in done}) == 1
        for answer in answers:
            if answer.status != 201:
                assert (answer.status, answer.code) == (409, "idempotency_in_flight")
                assert int(answer.headers["retry-after"]) >= 1
        assert len(objects_of(api, tenant)) == 1
        again = api.call("POST", post_url, body=bytes(size), headers=keyed())
        assert (again.status, again.json) == (201, done[0].json)


def test_while_the_first_is_under_way(api: Any, tenant: str, base: str) -> None:
    """409 with Retry-After before the body is asked for; done again once the first has gone."""
    size = 300_000
    head = (
        f"PUT {base}/k HTTP/1.1\r\nHost: x\r\nX-API-Key: {api.secret('admin')}\r\n"
        f"Idempotency-Key: slow\r\nContent-Length: {size}\r\n"
    )
    with api.connect() as wire:
        wire.sendall(f"{head}\r\n".encode() + bytes(100_000))
        while f"{tenant}/WRITING" not in api.state()["objects"]:
            pass
        answer = api.raw(f"{head}Expect: 100-continue\r\n\r\n".encode())
        assert (answer.status, answer.code) == (409, "idempotency_in_flight")
        assert int(answer.headers["retry-after"]) >= 1
        other = api.call("PUT", f"{base}/other", body=b"x", headers=keyed("slow"))
        assert (other.status, other.code) == (422, "idempotency_mismatch")
        wire.sendall(bytes(200_000))
        first = api.read_answer(wire)
        assert first.status == 201
    again = api.call("PUT", f"{base}/k", body=bytes(size), headers=keyed("slow"))
    assert (again.status, again.json) == (201, first.json)


def test_a_retried_copy(api: Any, tenant: str, base: str) -> None:
    """The first copy again, even when its source has gone; another target is 422."""
    source = api.put(f"{base}/source", b"content")
    url = f"/v1/objects/{source['id']}/copy?tenant_id={tenant}"

    def copy(document: Any) -> Any:
        fields = keyed("copy", Content_Type="application/json")
        return api.call("POST", url, body=json.dumps(document).encode(), headers=fields)

    first = copy({"key": "copied"})
    assert first.status == 201
    api.call("DELETE", f"{base}/source")
    again = copy({"key": "copied"})
    assert (again.status, again.json) == (201, first.json)
    assert again.headers["location"] == first.headers["location"]
    assert copy({"key": "other"}).code == "idempotency_mismatch"
    assert [each["key"] for each in objects_of(api, tenant)] == ["copied"]


def test_a_copy_that_the_caller_may_not_see(api: Any) -> None:
    """Whoever guesses another one's key learns nothing of what it stands for."""
    source = api.put("/v1/objects/by-key/closed/t1/secret", b"content")
    url = f"/v1/objects/{source['id']}/copy?tenant_id=t1"
    fields = keyed("guessed")
    assert api.call("POST", url, key="one", headers=fields).status == 201
    answer = api.call("POST", url, key="confined", headers=fields)
    assert (answer.status, answer.code) == (404, "not_found")


def test_tenants_are_apart(api: Any) -> None:
    """The same key of two tenants stands for two requests (I11)."""
    for key, tenant in (("one", "t1"), ("other", "t2")):
        answer = api.call(
            "POST", "/v1/objects?namespace=ns", body=b"x", key=key, headers=keyed("shared")
        )
        assert (answer.status, answer.json["tenant_id"]) == (201, tenant)


@pytest.mark.parametrize("text", ["", " ", "a b", "x" * 256, "\u00e4"])
def test_what_is_no_key(api: Any, post_url: str, text: str) -> None:
    """1 to 255 visible ASCII characters; 255 is fine."""
    answer = api.call("POST", post_url, body=b"x", headers=keyed(text))
    assert (answer.status, answer.code) == (400, "invalid_request")
    assert api.call("POST", post_url, body=b"x", headers=keyed("x" * 255)).status == 201


def test_two_keys(api: Any, post_url: str) -> None:
    """Two fields are two meanings: 400."""
    fields = [("Idempotency-Key", "a"), ("Idempotency-Key", "a")]
    answer = api.call("POST", post_url, body=b"x", headers=fields)
    assert (answer.status, answer.code) == (400, "invalid_request")


class TestCompareAndSwap:
    """Of N writers that have seen the same tag, exactly one gets through."""

    @pytest.mark.parametrize("size", [10, 300_000], ids=["whole", "streamed"])
    def test_replacing(self, api: Any, base: str, size: int) -> None:
        """PUT with If-Match."""
        etag = f'"{api.put(f"{base}/k", b"before")["content_hash"]}"'
        answers = all_at_once(
            12,
            lambda number: api.call(
                "PUT",
                f"{base}/k",
                body=b"%010d" % number + bytes(size - 10),
                headers={"If-Match": etag},
            ),
        )
        assert Counter(answer.status for answer in answers) == {200: 1, 412: 11}
        [won] = [number for number, answer in enumerate(answers) if answer.status == 200]
        assert api.call("GET", f"{base}/k").body.startswith(b"%010d" % won)

    def test_creating(self, api: Any, base: str, tenant: str) -> None:
        """PUT with If-None-Match: *, and nobody had seen anything."""
        answers = all_at_once(
            12,
            lambda number: api.call(
                "PUT", f"{base}/k", body=b"%d" % number, headers={"If-None-Match": "*"}
            ),
        )
        assert Counter(answer.status for answer in answers) == {201: 1, 412: 11}
        assert len(objects_of(api, tenant)) == 1

    def test_deleting_against_replacing(self, api: Any, base: str, tenant: str) -> None:
        """One of them all, whichever it is."""
        etag = f'"{api.put(f"{base}/k", b"before")["content_hash"]}"'

        def call(number: int) -> Any:
            if number % 2:
                return api.call("DELETE", f"{base}/k", headers={"If-Match": etag})
            return api.call("PUT", f"{base}/k", body=b"after", headers={"If-Match": etag})

        statuses = Counter(answer.status for answer in all_at_once(12, call))
        assert statuses.total() == 12
        assert statuses[200] + statuses[204] == 1
        assert statuses[412] == 11


def test_a_key_with_a_slash_in_its_target(api: Any, base: str) -> None:
    """The same target, spelt in another way, is the same request."""
    first = api.call("PUT", f"{base}/a/b", body=b"x", headers=keyed("spelt"))
    again = api.call("PUT", f"{base}/{quote('a/b', safe='')}", body=b"x", headers=keyed("spelt"))
    assert (again.status, again.json) == (first.status, first.json)
