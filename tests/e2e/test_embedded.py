"""The embedded default, from the outside: SQLite, local files, and HTTP between them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

URL = "/v1/objects/by-key/ns/acme"
LARGE = bytes(range(256)) * 12_000


def test_what_was_stored_survives_a_restart(serve: Callable[[], Any]) -> None:
    """Bytes, metadata and headers are the same before and after, whichever way they are sent."""
    service = serve()
    stored = {
        (storage_class, size): service.client.put(
            f"{URL}/{storage_class}%20ä/{size}?storage_class={storage_class}",
            content=LARGE[:size],
            headers={"X-Object-Metadata": '{"a": [1, null]}', "Content-Type": "text/x-y"},
        )
        for storage_class in ("hot", "cold")
        for size in (0, 5, 65_536, 65_537, len(LARGE))
    }
    for lives in (1, 2):
        if lives == 2:
            service.stop()
            service = serve()
        for (storage_class, size), created in stored.items():
            assert created.status_code == 201
            answer = service.client.get(f"{URL}/{storage_class} ä/{size}")
            assert answer.status_code == 200
            assert answer.content == LARGE[:size]
            assert answer.headers["content-type"] == "text/x-y"
            assert answer.headers["etag"] == created.headers["etag"]
            described = service.client.get(
                f"/v1/objects/{created.json()['id']}/metadata", params={"tenant_id": "acme"}
            )
            assert described.json() == created.json()


def test_an_object_from_its_first_byte_to_its_last(serve: Callable[[], Any]) -> None:
    """Create, read whole and in part, revalidate, replace, list, delete."""
    client = serve().client
    created = client.put(f"{URL}/k", content=LARGE)
    assert created.status_code == 201
    tag = created.headers["etag"]
    assert client.get(f"{URL}/k", headers={"If-None-Match": tag}).status_code == 304
    part = client.get(f"{URL}/k", headers={"Range": "bytes=70000-2000000", "If-Range": tag})
    assert part.status_code == 206
    assert part.content == LARGE[70_000:2_000_001]
    assert client.head(f"{URL}/k").headers["content-length"] == str(len(LARGE))
    assert client.put(f"{URL}/k", content=b"x", headers={"If-None-Match": "*"}).status_code == 412
    assert client.put(f"{URL}/k", content=b"x", headers={"If-Match": tag}).status_code == 200
    listed = client.get("/v1/objects", params={"tenant_id": "acme", "prefix": "k"}).json()
    assert [each["size_bytes"] for each in listed["objects"]] == [1]
    assert client.delete(f"{URL}/k").status_code == 204
    assert client.get(f"{URL}/k").status_code == 404


def test_pages_of_the_real_store(serve: Callable[[], Any]) -> None:
    """A walk sees every object once, newest first."""
    client = serve().client
    for number in range(25):
        assert client.put(f"{URL}/k{number:02}", content=b"x").status_code == 201
    found: list[str] = []
    cursor = ""
    while cursor is not None:
        page = client.get(
            "/v1/objects", params={"tenant_id": "acme", "limit": 10, "cursor": cursor}
        ).json()
        found += [each["key"] for each in page["objects"]]
        cursor = page["next_cursor"]
    assert found == [f"k{number:02}" for number in range(24, -1, -1)]


def test_a_file_that_is_gone_is_an_error(serve: Callable[[], Any]) -> None:
    """500 blob_missing before a byte is sent; never an empty 200."""
    service = serve()
    for size in (5, len(LARGE)):
        service.client.put(f"{URL}/k", content=LARGE[:size])
        for file in (service.data_dir / "hot").rglob("*"):
            if file.is_file() and file.stat().st_size == size:
                file.unlink()
        answer = service.client.get(f"{URL}/k")
        assert (answer.status_code, answer.json()["code"]) == (500, "blob_missing")


def test_a_damaged_file_is_not_served(serve: Callable[[], Any]) -> None:
    """A small body with a wrong byte, or a body of another length, is 500."""
    service = serve()
    service.client.put(f"{URL}/k", content=b"hello")
    for file in (service.data_dir / "hot").rglob("*"):
        if file.is_file() and file.stat().st_size == 5:
            file.chmod(0o600)
            file.write_bytes(b"hellO")
    answer = service.client.get(f"{URL}/k")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert str(service.data_dir) not in answer.text


def test_ready_names_every_part(serve: Callable[[], Any]) -> None:
    """Database, migrations, volumes and free space are asked; each says how long it took."""
    parts = serve().client.get("/health/ready").json()["parts"]
    asked = {part["name"] for part in parts if part["latency_ms"] is not None}
    assert {
        "metadata",
        "metadata/migrations",
        "blobs.hot",
        "blobs.hot/space",
        "blobs.cold",
    } <= asked
