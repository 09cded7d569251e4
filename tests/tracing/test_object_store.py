"""A bucket's part of a trace: a real server of S3, and a receiver of traces."""

from __future__ import annotations

import http.client
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from juststorage_objectstore.testing import S3Server, faulty_proxy
from tests.tracing.receiver import Received, Receiver

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SAMPLED = f"00-{TRACE}-00f067aa0ba902b7-01"
CLIENT = 3
KEY = "the-key-of-these-tests-only"
PATH = "/v1/objects/by-key/docs/acme"
SMALL, LARGE = b"small", bytes(range(256)) * (12 * 4096)  # over two parts


def environment(receiver: Receiver, table: dict[str, Any]) -> dict[str, str]:
    """A service on SQLite whose hot blobs are in the bucket, traced."""
    where = "JUSTSTORAGE__BLOBS__HOT__OBJECTSTORE__"
    return {f"{where}{name.upper()}": str(value) for name, value in table.items()} | {
        "JUSTSTORAGE__METADATA__BACKEND": "sqlite",
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "objectstore",
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        "JUSTSTORAGE__DOWNLOADS__CACHE_BYTES": "0",
        "JUSTSTORAGE__TRACING__ENDPOINT": receiver.url,
        "JUSTSTORAGE__GC__ENABLED": "false",
        "JUSTSTORAGE__GC__GRACE_S": "0",
        "JUSTSTORAGE__GC__TRASH_RETENTION_S": "0",
        "JUSTSTORAGE__GC__STAGING_GRACE_S": "0",
    }


def call(server: Any, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
    """A request of a caller who traces."""
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    try:
        fields = {"X-API-Key": KEY, "traceparent": SAMPLED, "Content-Type": "application/json"}
        connection.request(method, target, body=body, headers=fields)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def callers(receiver: Receiver, name: str) -> set[str]:
    """Below which spans those of this name are."""
    names = {span.id: span.name for span in receiver.spans}
    return {names[span.parent] for span in receiver.named(name)}


def of_bucket(receiver: Receiver) -> list[Received]:
    """The spans of calls to the bucket's server."""
    return [span for span in receiver.spans if span.name.startswith("S3/")]


def test_calls_of_a_bucket(
    serve: Any, receiver: Receiver, s3_server: S3Server, s3_bucket: str, tmp_path: Path
) -> None:
    """Each lies below the call of the blob store, of kind client, in the words for S3."""
    table = s3_server.table(s3_bucket, "prod")
    server = serve("--data-dir", str(tmp_path), environment=environment(receiver, table))
    for name, body in (("small", SMALL), ("large", LARGE)):
        assert call(server, "PUT", f"{PATH}/{name}", body)[0] == 201
        assert call(server, "GET", f"{PATH}/{name}") == (200, body)
        assert call(server, "DELETE", f"{PATH}/{name}")[0] == 204
    assert call(server, "POST", "/v1/admin/gc", b"{}")[0] == 200
    assert server.stop() == 0
    spans = of_bucket(receiver)
    assert {
        "S3/PutObject",
        "S3/CompleteMultipartUpload",
        "S3/GetObject",
        "S3/DeleteObjects",
        "S3/ListObjectsV2",
        "S3/ListMultipartUploads",
    } <= {span.name for span in spans}
    assert callers(receiver, "S3/PutObject") == {"blobs.hot.put"}
    assert "blobs.hot.open" in callers(receiver, "S3/GetObject")
    assert callers(receiver, "S3/CompleteMultipartUpload") == {"blobs.hot.place"}
    at = urlsplit(s3_server.endpoint)
    for span in spans:
        assert (span.trace, span.kind, span.failed) == (TRACE, CLIENT, False), span
        assert {name: each for name, each in span.attributes.items() if name != "error.type"} == {
            "rpc.system": "aws-api",
            "rpc.service": "S3",
            "rpc.method": span.name.removeprefix("S3/"),
            "aws.s3.bucket": s3_bucket,
            "server.address": at.hostname,
            "server.port": at.port,
        }
    # Pieces of a body have no spans, however many there are.
    assert len(spans) < 40
    secrets = {table["access_key_id"], table["secret_access_key"], KEY}
    assert not any(secret in repr(span) for span in receiver.spans for secret in secrets)


def test_a_bucket_that_fails(
    serve: Any, receiver: Receiver, s3_server: S3Server, s3_bucket: str, tmp_path: Path
) -> None:
    """Its span is marked as a failure, by a code."""
    with faulty_proxy(s3_server.endpoint) as line:
        table = s3_server.table(s3_bucket, "prod", endpoint=line.endpoint, retries=0)
        server = serve("--data-dir", str(tmp_path), environment=environment(receiver, table))
        line.on("PUT", "status", match="prod", times=9)
        assert call(server, "PUT", f"{PATH}/small", SMALL)[0] == 503
        assert server.stop() == 0
    [span] = [each for each in of_bucket(receiver) if each.failed]
    assert (span.name, span.attributes["error.type"]) == ("S3/PutObject", "unavailable")
    assert span.said == ""


def test_who_is_told_of_the_trace(
    serve: Any, receiver: Receiver, s3_server: S3Server, s3_bucket: str, tmp_path: Path
) -> None:
    """Of a bucket's requests only those that do not go by way of the client library."""
    with faulty_proxy(s3_server.endpoint) as line:
        table = s3_server.table(s3_bucket, "prod", endpoint=line.endpoint)
        server = serve("--data-dir", str(tmp_path), environment=environment(receiver, table))
        began = len(line.seen)
        assert call(server, "PUT", f"{PATH}/small", SMALL)[0] == 201
        assert call(server, "POST", "/v1/admin/gc", b"{}")[0] == 200
        assert server.stop() == 0
        asked = list(zip(line.seen, line.fields, strict=True))[began:]
    told = {text: fields["traceparent"] for text, fields in asked if "traceparent" in fields}
    listed = {text for text, _ in asked if "uploads=" in text}
    assert told.keys() == listed
    assert listed
    spans = {f"00-{TRACE}-{each.id}-01" for each in receiver.named("S3/ListMultipartUploads")}
    assert set(told.values()) <= spans
