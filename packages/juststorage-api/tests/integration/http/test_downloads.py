"""Downloads that cannot be completed never look complete."""

from __future__ import annotations

import http.client
from typing import Any

import pytest

LARGE = bytes(range(256)) * 4096


def test_a_read_that_fails_midway_is_cut_off(api: Any, base: str, log: Any) -> None:
    """The connection breaks before Content-Length is reached, and the log has the cause."""
    api.put(f"{base}/k?storage_class=cold", LARGE)
    with pytest.raises(http.client.IncompleteRead) as cut:
        api.call("GET", f"{base}/k")
    assert LARGE.startswith(cut.value.partial)
    log.wait(base, "failed with 503", "the volume went away")


def test_a_range_that_fails_midway_is_cut_off(api: Any, base: str) -> None:
    """The same for a part."""
    api.put(f"{base}/k?storage_class=cold", LARGE)
    with pytest.raises(http.client.IncompleteRead):
        api.call("GET", f"{base}/k", headers={"Range": "bytes=1-900000"})


@pytest.mark.parametrize("size", [1, 65_536, 65_537, len(LARGE)])
def test_damaged_bytes_never_look_whole(api: Any, base: str, log: Any, size: int) -> None:
    """Up to 64 KiB they are 500, above the connection breaks; an upload heals them."""
    data = LARGE[: size - 1] + bytes([size % 251])
    damaged = api.put(f"{base}/k", data)["content_hash"]
    assert api.call("GET", f"/-/damage?{damaged}", key=None).json == {"damaged": 1}
    if size <= 65_536:
        answer = api.call("GET", f"{base}/k")
        assert (answer.status, answer.code) == (500, "internal")
    else:
        with pytest.raises(http.client.IncompleteRead) as cut:
            api.call("GET", f"{base}/k")
        assert data.startswith(cut.value.partial)
    log.wait(damaged, "damage_found")
    metrics = api.call("GET", "/metrics").body.decode()
    assert 'juststorage_damage_found_total{storage_class="hot",damage="hash"} 0' not in metrics
    # Parts are not covered: nobody knows their hash.
    part = api.call("GET", f"{base}/k", headers={"Range": "bytes=-1"})
    assert part.status == 206 and part.body not in (b"", data[-1:])
    api.put(f"{base}/again", data)
    assert api.call("GET", f"{base}/k").body == data


def test_missing_bytes_are_an_error(api: Any, base: str, log: Any) -> None:
    """An object whose bytes are gone for good is 500 blob_missing, to HEAD as well, and logged."""
    lost = api.put(f"{base}/k", b"soon gone")["content_hash"]
    assert api.call("GET", f"/-/lose?{lost}", key=None).json == {"lost": 1}
    answer = api.call("GET", f"{base}/k")
    assert (answer.status, answer.code) == (500, "blob_missing")
    head = api.call("HEAD", f"{base}/k")
    assert (head.status, head.body) == (500, b"")
    assert head.headers["content-type"] == answer.headers["content-type"]
    log.wait(base, "failed with 500: BlobMissing")


def test_head_is_get_without_its_body(api: Any, base: str, tenant: str) -> None:
    """By id and by key, empty or large, named or not: the same header fields."""
    for key, data in {"empty": b"", "small": b"hello", "large": LARGE}.items():
        headers = {"Content-Type": "text/plain", "X-Object-Metadata": '{"a": 1}'}
        stored = api.put(f"{base}/{key}", data, headers=headers)
        for url in (
            f"{base}/{key}",
            f"{base}/{key}?filename=%C3%A4.txt",
            f"/v1/objects/{stored['id']}?tenant_id={tenant}",
        ):
            get, head = api.call("GET", url), api.call("HEAD", url)
            assert (get.status, head.status, head.body) == (200, 200, b"")
            for name in ("date", "x-request-id"):
                del get.headers[name], head.headers[name]
            assert head.headers == get.headers


def test_a_content_digest_is_sent_to_who_wants_one(api: Any, base: str) -> None:
    """RFC 9530: of the whole, in GET and HEAD alike; of a part nobody knows it."""
    api.put(f"{base}/k", b"hello")
    headers = {"Want-Content-Digest": "sha-512=3, sha-256=10"}
    for method in ("GET", "HEAD"):
        answer = api.call(method, f"{base}/k", headers=headers)
        assert answer.headers["content-digest"] == api.repr_digest(b"hello")
        assert "content-digest" not in api.call(method, f"{base}/k").headers
    part = api.call("GET", f"{base}/k", headers={**headers, "Range": "bytes=0-1"})
    assert part.status == 206 and "content-digest" not in part.headers


def test_a_reader_that_leaves_is_noticed(api: Any, base: str, log: Any) -> None:
    """Who hangs up ends the download, even while the store has nothing to send."""
    api.put(f"{base}/left?storage_class=cold", LARGE + b"x")
    with api.connect() as wire:
        key = api.secret("admin")
        wire.sendall(f"GET {base}/left HTTP/1.1\r\nHost: x\r\nX-API-Key: {key}\r\n\r\n".encode())
        assert wire.recv(1000).startswith(b"HTTP/1.1 200 ")
    log.wait(f"GET {base}/left 200")
