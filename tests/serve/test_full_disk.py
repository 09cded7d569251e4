"""A disk that fills up under the whole service, database included, and is emptied again."""

from __future__ import annotations

import errno
import http.client
import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from juststorage.testing import do_without

KEY = "the-key-of-these-tests-only"
MIB = 1024 * 1024
SIZE = 96 * MIB
RESERVE = 16 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of its own, small enough to be filled."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode != 0:
        do_without("mount", f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        # Lazily: a server that this test leaves behind is ended after it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Service:
    """A server whose data directory is on that disk."""

    def __init__(self, server: Any, disk: Path) -> None:
        self._address = server.address
        self._ballast = disk / "ballast"

    def call(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        """A request: status and body."""
        is_json = body is not None and method == "POST"
        fields = {"Content-Type": "application/json"} if is_json else {}
        status, _, answer = self.ask(method, target, body, fields)
        return status, answer

    def ask(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        fields: Mapping[str, str] = MappingProxyType({}),
    ) -> tuple[int, dict[str, str], bytes]:
        """A request on a connection of its own: status, fields, body."""
        connection = http.client.HTTPConnection(*self._address, timeout=60)
        try:
            connection.request(method, target, body=body, headers={"X-API-Key": KEY, **fields})
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, told, response.read()
        finally:
            connection.close()

    def put(self, key: str, size: int = 1000) -> tuple[int, str]:
        """Upload bytes that nobody else has: the status, and the code of a refusal."""
        status, body = self.call("PUT", f"/v1/objects/by-key/ns/t/{key}", os.urandom(size))
        return status, json.loads(body).get("code", "")

    def readiness(self) -> tuple[int, str]:
        """The status of the answer, and the one in it."""
        status, body = self.call("GET", "/health/ready")
        return status, json.loads(body)["status"]

    def fill(self, leave: int) -> None:
        """Leave so many bytes on the disk, at most; 0 fills it to the last block."""
        facts = os.statvfs(self._ballast.parent)
        room = facts.f_bavail * facts.f_frsize - leave
        file = os.open(self._ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            os.posix_fallocate(file, 0, max(1, room))
            while leave == 0:
                os.pwrite(file, bytes(4096), os.fstat(file).st_size)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(file)

    def empty(self) -> None:
        """Take all that away."""
        self._ballast.unlink()


@pytest.fixture
def start(serve: Any, disk: Path) -> Callable[[int], Service]:
    """Starts a service with this reserve."""

    def started(reserve_bytes: int) -> Service:
        config = disk / "juststorage.toml"
        config.write_text(
            f'data_dir = "{disk}/data"\nmetadata = {{ backend = "sqlite" }}\n'
            f'auth = {{ api_key = {{ bootstrap_key = "{KEY}" }} }}\n[blobs]\n'
            + "".join(
                f'{name} = {{ backend = "localfs",'
                f" localfs = {{ reserve_bytes = {reserve_bytes} }} }}\n"
                for name in ("hot", "cold")
            )
        )
        (disk / "data").mkdir()
        server = serve("--config", str(config), environment={})
        return Service(server, disk)

    return started


def test_nothing_is_free_but_the_reserve(start: Callable[[int], Service]) -> None:
    """Uploads are 507; all else works, the collector too; room again, and uploads are taken."""
    service = start(RESERVE)
    for key in ("kept", "deleted"):
        assert service.put(key) == (201, "")
    assert service.readiness() == (200, "ready")
    service.fill(leave=RESERVE - MIB)
    for size in (0, 1000, MIB):
        assert service.put("new", size) == (507, "storage_full")
    assert service.readiness() == (200, "degraded")
    assert service.call("GET", "/health")[0] == 200
    assert service.call("GET", "/v1/objects/by-key/ns/t/kept")[0] == 200
    assert service.call("GET", "/v1/objects?tenant_id=t")[0] == 200
    assert service.call("DELETE", "/v1/objects/by-key/ns/t/deleted")[0] == 204
    asked = json.dumps({"grace_seconds": 0}).encode()
    status, report = service.call("POST", "/v1/admin/gc", asked)
    # What the refused uploads had reserved is garbage, too.
    assert (status, json.loads(report)["removed"] >= 1, json.loads(report)["errors"]) == (
        200,
        True,
        0,
    )
    assert service.call("GET", "/metrics")[0] == 200
    service.empty()
    assert service.put("new") == (201, "")
    assert service.readiness() == (200, "ready")


def test_nothing_is_free_at_all(start: Callable[[int], Service]) -> None:
    """Even the database cannot write: reading goes on, nothing is lost, and it recovers.

    A collection is run all the same; what it could not do, it does as soon as there is room.
    """
    service = start(0)
    asked = json.dumps({"grace_seconds": 0}).encode()
    for key in ("kept", "garbage"):
        assert service.put(key, MIB) == (201, "")
    assert service.call("DELETE", "/v1/objects/by-key/ns/t/garbage")[0] == 204
    service.fill(leave=0)
    for number in range(20):
        assert service.put(f"new{number}") == (507, "storage_full")
    status, body = service.call("DELETE", "/v1/objects/by-key/ns/t/kept")
    assert (status, body) == (204, b"") or json.loads(body)["code"] == "storage_full"
    found = service.call("GET", "/v1/objects/by-key/ns/t/kept")[0]
    assert found == (404 if status == 204 else 200)
    assert service.readiness() == (200, "degraded")
    # It may not come to anything, where the database has no room to note what it takes on.
    status, body = service.call("POST", "/v1/admin/gc", asked)
    assert status == 200
    removed = json.loads(body)["removed"]
    service.empty()
    report = json.loads(service.call("POST", "/v1/admin/gc", asked)[1])
    assert (removed + report["removed"], report["errors"]) == (1, 0)
    assert service.put("new") == (201, "")
    assert service.readiness() == (200, "ready")
    assert service.call("GET", "/v1/objects/by-key/ns/t/kept")[0] == found
    assert service.call("GET", "/v1/objects/by-key/ns/t/new")[0] == 200


def test_a_resumable_upload_waits_for_room(start: Callable[[int], Service]) -> None:
    """What came before the disk was full is kept, and only the rest is sent once there is room."""
    service = start(RESERVE)
    data = os.urandom(40 * MIB)
    target = "/v1/uploads?namespace=ns&tenant_id=t&key=large&replace=true"
    status, fields, _ = service.ask("POST", target, None, {"Upload-Length": str(len(data))})
    assert status == 201
    url = fields["location"]

    def patch(offset: int) -> int:
        about = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": str(offset)}
        status, _, body = service.ask("PATCH", url, data[offset:], about)
        assert status == 204 or json.loads(body)["code"] == "storage_full"
        return status

    service.fill(leave=RESERVE + 20 * MIB)
    assert patch(0) == 507
    offset = int(service.ask("HEAD", url)[1]["upload-offset"])
    assert 8 * MIB <= offset < len(data)
    assert patch(offset) == 507
    service.empty()
    offset = int(service.ask("HEAD", url)[1]["upload-offset"])
    assert patch(offset) == 204
    assert service.call("GET", "/v1/objects/by-key/ns/t/large") == (200, data)
