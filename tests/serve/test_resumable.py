"""Resumable uploads against servers that are killed, stopped, switched, filled and many."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

KEY = "the-key-of-these-tests-only"
MIB = 1024 * 1024
SIZE = 100 * MIB + 12_345
ENVIRONMENT = {"JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY}


@pytest.fixture(scope="module")
def data() -> bytes:
    """More than is lost when a process is killed amid a body."""
    return os.urandom(MIB) * 100 + os.urandom(12_345)


class Upload:
    """One upload to a server that may be another one by the next call."""

    def __init__(self, server: Any, key: str, size: int = SIZE) -> None:
        self.server = server
        self.object = f"/v1/objects/by-key/ns/t/{key}"
        target = f"/v1/uploads?namespace=ns&tenant_id=t&key={key}&replace=true"
        status, fields, body = self.call("POST", target, **{"Upload-Length": str(size)})
        assert status == 201, body
        self.url = fields["location"]

    def call(
        self, method: str, target: str, body: bytes | None = None, **fields: str
    ) -> tuple[int, dict[str, str], bytes]:
        """A request on a connection of its own."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        try:
            connection.request(method, target, body=body, headers={"X-API-Key": KEY, **fields})
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, told, response.read()
        finally:
            connection.close()

    def patch(self, offset: int, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Bytes."""
        fields = {
            "Content-Type": "application/offset+octet-stream",
            "Upload-Offset": str(offset),
        }
        return self.call("PATCH", self.url, body, **fields)

    def begin_patch(self, offset: int, body: bytes, length: int) -> socket.socket:
        """A connection that has sent so much of a body of that length."""
        wire = socket.create_connection(self.server.address, timeout=60)
        head = (
            f"PATCH {self.url} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEY}\r\n"
            "Content-Type: application/offset+octet-stream\r\n"
            f"Upload-Offset: {offset}\r\nContent-Length: {length}\r\n\r\n"
        )
        wire.sendall(head.encode() + body)
        return wire

    def offset(self) -> int:
        """What the server has."""
        status, fields, _ = self.call("HEAD", self.url)
        assert status == 200
        return int(fields["upload-offset"])

    def content(self) -> bytes:
        """What is stored."""
        status, _, body = self.call("GET", self.object)
        assert status == 200
        return body

    def collect(self) -> dict[str, Any]:
        """A collection without any grace."""
        status, _, body = self.call(
            "POST", "/v1/admin/gc", b'{"grace_seconds": 0}', **{"Content-Type": "application/json"}
        )
        assert status == 200, body
        return dict(json.loads(body))


@pytest.fixture
def started(serve: Any) -> Callable[..., Any]:
    """Starts a server with a known key, on the data directory of the test."""

    def start(**settings: str) -> Any:
        return serve(environment={**ENVIRONMENT, **settings})

    return start


def killed(server: Any) -> None:
    """With its workers, at once."""
    for pid in [*server.children(), server.process.pid]:
        os.kill(pid, signal.SIGKILL)
    server.process.wait(60)


def test_killed_between_two_requests(started: Any, data: bytes) -> None:
    """What was acknowledged is there, whoever goes on, and after a collection too."""
    upload = Upload(started(), "k")
    assert upload.patch(0, data[: 5 * MIB])[0] == 204
    killed(upload.server)
    upload.server = started()
    assert upload.offset() == 5 * MIB
    report = upload.collect()
    assert (report["reaped"], report["swept"], report["errors"]) == (0, 0, 0)
    assert upload.patch(5 * MIB, data[5 * MIB :])[0] == 204
    assert upload.content() == data


def test_killed_amid_a_body(started: Any, eventually: Any, data: bytes) -> None:
    """All but the last 64 MiB is there, and what is there is what was sent."""
    upload = Upload(started(), "k")
    with upload.begin_patch(0, data[:-1], len(data)):
        eventually(lambda: upload.offset() > 0, "a part of the body is durable")
        killed(upload.server)
    upload.server = started()
    offset = upload.offset()
    assert 0 < len(data) - offset <= 65 * MIB + SIZE % (64 * MIB)
    assert upload.patch(offset, data[offset:])[0] == 204
    assert upload.content() == data
    assert upload.collect()["errors"] == 0


def test_stopped_amid_a_body(started: Any, eventually: Any, data: bytes) -> None:
    """A server that is asked to stop keeps all that it has written when its time is over."""
    upload = Upload(started(JUSTSTORAGE__SERVER__DRAIN_TIMEOUT_S="1"), "k")
    with upload.begin_patch(0, data[: 90 * MIB], len(data)):
        eventually(lambda: upload.offset() > 0, "a part of the body is durable")
        upload.server.stop()
    upload.server = started()
    offset = upload.offset()
    assert offset >= 64 * MIB
    assert upload.patch(offset, data[offset:])[0] == 204
    assert upload.content() == data


def test_by_several_workers(started: Any, data: bytes) -> None:
    """Each request may come to another process; a second one at once is told to wait."""
    server = started(JUSTSTORAGE__SERVER__WORKERS="2")
    server.wait_workers(2)
    upload = Upload(server, "k")
    with upload.begin_patch(0, data[:100], len(data)):
        refused = []
        while len(refused) < 8:
            status, fields, body = upload.patch(0, data[:100])
            if status == 204:  # it came first, before the one that is to hold the upload
                assert fields["upload-offset"] == "100"
                break
            refused.append((status, json.loads(body)["code"], fields["retry-after"]))
        assert set(refused) <= {(409, "upload_in_use", "1")}
    offset = _quiet_offset(upload)
    step = 13 * MIB
    while offset < len(data):
        status, fields, body = upload.patch(offset, data[offset : offset + step])
        assert status == 204, body
        offset = int(fields["upload-offset"])
    assert upload.content() == data


def _quiet_offset(upload: Upload) -> int:
    """The offset, once nobody is at it any more."""
    while True:
        offset = upload.offset()
        status, _, body = upload.patch(offset, b"")
        if status == 204:
            return offset
        assert json.loads(body)["code"] in {"upload_in_use", "offset_mismatch"}


def test_read_only_mode(started: Any, data: bytes) -> None:
    """Neither begun nor added to nor given up; asked about it may be, and it goes on afterwards."""
    upload = Upload(started(), "k", 10)
    assert upload.patch(0, data[:5])[0] == 204
    as_json = {"Content-Type": "application/json"}
    switched = upload.call("POST", "/v1/admin/read-only", b'{"read_only": true}', **as_json)
    assert switched[0] == 200
    for status, _, body in (
        upload.call("POST", "/v1/uploads?namespace=ns&tenant_id=t", **{"Upload-Length": "1"}),
        upload.patch(5, data[5:10]),
        upload.call("DELETE", upload.url),
    ):
        assert (status, json.loads(body)["code"]) == (503, "read_only")
    assert upload.offset() == 5
    upload.call("POST", "/v1/admin/read-only", b'{"read_only": false}', **as_json)
    assert upload.patch(5, data[5:10])[0] == 204
    assert upload.content() == data[:10]


def test_fsck_knows_it(started: Any, tmp_path: Path, data: bytes) -> None:
    """A resting upload is no finding; what it left is collected when it is given up."""
    upload = Upload(started(), "k")
    assert upload.patch(0, data[: 5 * MIB])[0] == 204
    gc = {f"JUSTSTORAGE__GC__{name}": "0" for name in ("STAGING_GRACE_S", "GRACE_S")}
    found = subprocess.run(
        [sys.executable, "-c", "from juststorage.cli import main; main()", "fsck", "--json"],
        cwd=tmp_path,
        env={**os.environ, **gc},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    staged = list((tmp_path / "juststorage-data").glob("*/.staging/*.0000000?"))
    assert len(staged) == 2
    assert upload.call("DELETE", upload.url)[0] == 204
    assert not any(each.exists() for each in staged)
    report = upload.collect()
    assert (report["swept"], report["errors"]) == (0, 0)
