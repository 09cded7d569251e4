"""A disk that fills up under the whole service, database included, and is emptied again."""

from __future__ import annotations

import errno
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

from juststorage.testing import do_without

KEY = "the-key-of-these-tests-only"
MAIN = "from juststorage.cli import main; main()"
MIB = 1024 * 1024
SIZE = 96 * MIB
RESERVE = 16 * MIB


@pytest.fixture(params=["tmpfs", "ext4"])
def disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """A filesystem of its own, small enough to be filled.

    Directories take no room on tmpfs, and blocks of their own on ext4.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)]
    if request.param == "ext4":
        image = tmp_path / "disk.img"
        image.touch()
        os.truncate(image, SIZE)
        run(["mkfs.ext4", "-q", "-F", "-m", "0", str(image)])
        command = ["mount", "-o", "loop", str(image), str(folder)]
    run(command)
    try:
        yield folder
    finally:
        # Lazily: a server that this test leaves behind is ended after it.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run(command: list[str]) -> None:
    """Run it, or do without filesystems."""
    if shutil.which(command[0]) is None:
        do_without("mount", f"there is no {command[0]} here")
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        do_without("mount", f"no filesystem can be mounted here: {ran.stderr.strip()}")


class Service:
    """A server whose data directory is on that disk."""

    def __init__(self, server: Any, disk: Path) -> None:
        self.server = server
        self.disk = disk
        self._address = server.address
        self._others = disk / "somebody-elses"

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

    def degraded(self) -> set[str]:
        """The parts that can do only a part of what they should."""
        parts = json.loads(self.call("GET", "/health/ready")[1])["parts"]
        return {part["name"] for part in parts if part["degraded"]}

    def collect(self) -> dict[str, Any]:
        """Collect all that there is; what was done."""
        status, body = self.call("POST", "/v1/admin/gc", json.dumps({"grace_seconds": 0}).encode())
        assert status == 200
        report: dict[str, Any] = json.loads(body)
        return report

    def fill(self, leave: int) -> None:
        """Leave so many bytes on the disk, at most; 0 fills it to the last block."""
        facts = os.statvfs(self.disk)
        room = facts.f_bavail * facts.f_frsize - leave
        file = os.open(self._others, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            if room > 0:
                with suppress_full():
                    os.posix_fallocate(file, os.fstat(file).st_size, room)
            if leave == 0:
                with suppress_full():
                    while True:
                        os.write(file, bytes(4096))
                os.fsync(file)
        finally:
            os.close(file)

    def empty(self) -> None:
        """Take all that away."""
        self._others.unlink()


@contextmanager
def suppress_full() -> Iterator[None]:
    """Go on when there is no room."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


Start = Callable[..., Service]


@pytest.fixture
def start(serve: Any, disk: Path) -> Start:
    """Starts a service on that disk, again and again."""

    def started(*, reserve_bytes: int = RESERVE, database: str = "") -> Service:
        config = disk.parent / "juststorage.toml"
        config.write_text(
            f'data_dir = "{disk}/data"\n'
            f'metadata = {{ backend = "sqlite", sqlite = {{ {database} }} }}\n'
            f'auth = {{ api_key = {{ bootstrap_key = "{KEY}" }} }}\n'
            "gc = { trash_retention_s = 0 }\n[blobs]\n"
            + "".join(
                f'{name} = {{ backend = "localfs",'
                f" localfs = {{ reserve_bytes = {reserve_bytes} }} }}\n"
                for name in ("hot", "cold")
            )
        )
        (disk / "data").mkdir(exist_ok=True)
        return Service(serve("--config", str(config), environment={}), disk)

    return started


def command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `juststorage` beside the service, or without it."""
    return subprocess.run(
        [sys.executable, "-c", MAIN, *words, "--config", "juststorage.toml"],
        cwd=service.disk.parent,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_nothing_is_free_but_the_reserve(start: Start) -> None:
    """Uploads are 507; all else works, the collector too; room again, and uploads are taken."""
    service = start()
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
    report = service.collect()
    # What the refused uploads had reserved is garbage, too.
    assert (report["removed"] >= 1, report["errors"]) == (True, 0)
    assert service.call("GET", "/metrics")[0] == 200
    service.empty()
    assert service.put("new") == (201, "")
    assert service.readiness() == (200, "ready")


def recovers(service: Service) -> None:
    """With room again it goes on by itself, and has lost nothing."""
    service.empty()
    assert service.put("new") == (201, "")
    assert service.readiness() == (200, "ready")
    assert service.call("GET", "/v1/objects/by-key/ns/t/kept")[0] == 200
    fsck = command(service, "fsck")
    assert (fsck.returncode, "clean" in fsck.stdout) == (0, True), fsck


def serves(service: Service, *deleted: str) -> None:
    """On a disk without a free block: uploads are 507, all else works, these deletions too."""
    for size in (0, 1000, MIB, 1000, 1000):
        assert service.put("new", size) == (507, "storage_full")
    assert service.call("GET", "/v1/objects/by-key/ns/t/kept")[0] == 200
    assert service.call("GET", "/v1/objects?tenant_id=t")[0] == 200
    for key in deleted:
        assert service.call("DELETE", f"/v1/objects/by-key/ns/t/{key}")[0] == 204, key
    assert service.readiness() == (200, "degraded")


def test_not_one_block_is_free(start: Start) -> None:
    """All but uploads works, the collector too, however often somebody takes what it has freed."""
    service = start()
    assert service.put("kept") == (201, "")
    for number in range(80):
        assert service.put(f"old{number}", 20_000) == (201, "")
    assert service.readiness() == (200, "ready")
    for turn in range(4):
        service.fill(leave=0)
        serves(service, *(f"old{number}" for number in range(20 * turn, 20 * turn + 20)))
        assert "metadata" in service.degraded()
        report = service.collect()
        assert (report["removed"] >= 20, report["purged"] >= 20, report["errors"]) == (
            True,
            True,
            0,
        )
    recovers(service)
    assert (service.disk / "data/metadata.sqlite3-ballast").stat().st_size == 16 * MIB


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_start_with_not_one_block_free(start: Start, how: signal.Signals) -> None:
    """After a stop and after a crash: it starts, it serves, and commands beside it collect."""
    service = start()
    for key in ("kept", "one", "two", "three"):
        assert service.put(key, MIB) == (201, "")
    service.fill(leave=0)
    serves(service, "one")
    for key in ("two", "three"):
        service.server.stop(how)
        service.fill(leave=0)
        service = start()
        serves(service, key)
        assert "metadata/space" in command(service, "doctor").stdout
        service.fill(leave=0)
    service.server.stop(how)
    service.fill(leave=0)
    collected = command(service, "gc", "run", "--grace-s", "0")
    assert (collected.returncode, "removed: 3 blobs" in collected.stdout) == (0, True), collected
    service = start()
    recovers(service)


def test_without_ballast(start: Start) -> None:
    """Even the database cannot write: reading goes on, nothing is lost, and it recovers.

    A collection is run all the same; what it could not do, it does as soon as there is room.
    """
    service = start(reserve_bytes=0, database="ballast_bytes = 0")
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
    removed = service.collect()["removed"]
    service.empty()
    report = service.collect()
    assert (removed + report["removed"] >= 1, report["errors"]) == (True, 0)
    assert service.put("new") == (201, "")
    assert service.readiness() == (200, "ready")
    assert service.call("GET", "/v1/objects/by-key/ns/t/kept")[0] == found
    assert service.call("GET", "/v1/objects/by-key/ns/t/new")[0] == 200


def test_a_resumable_upload_waits_for_room(start: Start) -> None:
    """What came before the disk was full is kept, and only the rest is sent once there is room."""
    service = start()
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
