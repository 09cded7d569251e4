"""Metrics of a service with two workers, through the loss of one of them."""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

BY_KEY = "/v1/objects/by-key/{namespace}/{tenant_id}/{key}"


class Service:
    """Two workers over one data directory."""

    def __init__(self, server: Any, data: Path) -> None:
        self.server = server
        self.key = (data / "admin.key").read_text().strip()
        server.wait_workers(2)

    def call(self, method: str, target: str, body: bytes | None = None) -> tuple[int, bytes]:
        """A request on a connection of its own: the kernel chooses the worker."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=30)
        try:
            connection.request(method, target, body=body, headers={"X-API-Key": self.key})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def scrape(self) -> dict[str, float]:
        """Every series, from whichever worker answers."""
        status, text = self.call("GET", "/metrics")
        assert status == 200
        lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


@pytest.fixture
def service(serve: Any, tmp_path: Path) -> Service:
    """A running one that counts what it stores all the time."""
    environment = {"JUSTSTORAGE__METRICS__COUNT_INTERVAL_S": "0.1"}
    server = serve("--data-dir", "data", "--workers", "2", environment=environment)
    return Service(server, tmp_path / "data")


def requests(method: str, route: str, status: int) -> str:
    """The name of a series."""
    labels = f'method="{method}",route="{route}",status="{status}"'
    return f"juststorage_http_requests_total{{{labels}}}"


def test_exactly_as_many_as_there_were(
    service: Service, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    """Over both workers, whoever is asked, and still when one was killed and started again."""
    for number in range(30):
        assert service.call("PUT", f"/v1/objects/by-key/ns/t/k{number}", b"x" * 100)[0] == 201
    for number in range(40):
        expected = 200 if number < 30 else 404
        assert service.call("GET", f"/v1/objects/by-key/ns/t/k{number}")[0] == expected
    puts, gets = requests("PUT", BY_KEY, 201), requests("GET", BY_KEY, 200)
    # A request is counted when it is over, which is a moment after its answer.
    eventually(lambda: service.scrape().get(requests("GET", BY_KEY, 404)) == 10, "all are counted")

    def check(more: int = 0) -> None:
        for _ in range(6):
            found = service.scrape()
            assert (found[puts], found[gets]) == (30, 30 + more)
            durations = "juststorage_http_request_duration_seconds_count"
            assert found[f'{durations}{{method="PUT",route="{BY_KEY}"}}'] == 30
            received = f'juststorage_http_request_body_bytes_total{{method="PUT",route="{BY_KEY}"}}'
            assert found[received] == 3000

    check()
    victim = service.server.children()[0]
    os.kill(victim, signal.SIGKILL)
    service.server.wait_line("was ended by SIGKILL")
    starts = "juststorage_worker_starts_total"
    eventually(lambda: service.scrape()[starts] == 3, "another worker is started")
    service.server.wait_workers(2)
    check()
    for number in range(30):
        assert service.call("GET", f"/v1/objects/by-key/ns/t/k{number}")[0] == 200
    eventually(lambda: service.scrape()[gets] == 60, "all are counted")
    check(more=30)
    found = service.scrape()
    assert (found["juststorage_workers"], found["juststorage_uploads_in_flight"]) == (2, 0)


def test_what_is_stored(
    service: Service, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    """Exactly, by class; bytes that several objects share are there once."""
    for number in range(5):
        assert service.call("PUT", f"/v1/objects/by-key/ns/t{number}/k", b"same")[0] == 201
    hot = 'juststorage_{}{{storage_class="hot"}}'
    eventually(lambda: service.scrape().get(hot.format("objects")) == 5, "they are counted")
    # Apart, because it takes longer where there are many.
    eventually(lambda: service.scrape().get("juststorage_dedup_ratio") == 5, "and their contents")
    found = service.scrape()
    assert found[hot.format("logical_bytes")] == 20
    assert found[hot.format("blobs")] == 1
    assert found[hot.format("physical_bytes")] == 4
    assert (found["juststorage_tenants"], found["juststorage_dedup_ratio"]) == (5, 5)
    assert found[hot.format("volume_free_bytes")] > 0


def test_read_only_mode_of_all_workers(
    service: Service, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    """Whichever worker is told, all of them refuse from then on, also one that is started later."""

    def put() -> int:
        return service.call("PUT", "/v1/objects/by-key/ns/t/k", b"x")[0]

    connection = http.client.HTTPConnection(*service.server.address, timeout=30)
    fields = {"X-API-Key": service.key, "Content-Type": "application/json"}
    connection.request("POST", "/v1/admin/read-only", body=b'{"read_only": true}', headers=fields)
    assert connection.getresponse().read() == b'{"read_only":true,"everywhere":true}'
    connection.close()
    assert {put() for _ in range(20)} == {503}
    os.kill(service.server.children()[0], signal.SIGKILL)
    service.server.wait_line("was ended by SIGKILL")
    starts = "juststorage_worker_starts_total"
    eventually(lambda: service.scrape()[starts] == 3, "another worker is started")
    service.server.wait_workers(2)
    assert {put() for _ in range(20)} == {503}
    assert service.scrape()["juststorage_read_only"] == 1


def test_the_text_is_what_prometheus_reads(service: Service) -> None:
    """Each series has its type and its help, once, and in one piece."""
    text = service.call("GET", "/metrics")[1].decode()
    names = re.findall(r"^# TYPE (\S+)", text, re.M)
    assert len(names) == len(set(names)) == len(re.findall(r"^# HELP", text, re.M))
    current = ""
    for line in text.splitlines():
        if line.startswith("# TYPE"):
            current = line.split()[2]
        elif not line.startswith("#"):
            name = re.match(r"[a-z_]+", line)
            assert name is not None
            assert re.sub("_(bucket|sum|count)$", "", name[0]) in {current, name[0]}
            assert name[0].startswith(current)


def test_what_an_audit_found_is_told_by_the_service(
    service: Service, tmp_path: Path, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    """A file is damaged on the disk, `juststorage fsck` finds it, and any worker tells so."""

    def audited(*words: str) -> tuple[int, str]:
        command = [sys.executable, "-c", "from juststorage.cli import main; main()", "fsck", *words]
        ran = subprocess.run(
            [*command, "--data-dir", "data"],
            cwd=tmp_path,
            env={"PATH": os.environ["PATH"]},
            capture_output=True,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout + ran.stderr

    def told() -> tuple[float | None, float | None]:
        found = service.scrape()
        assert ("juststorage_fsck_last_run_time_seconds" in found) is (
            "juststorage_fsck_findings" in found
        )
        return found.get("juststorage_fsck_findings"), found.get("juststorage_fsck_repaired")

    target = "/v1/objects/by-key/docs/acme/damaged"
    content = os.urandom(100_000)
    assert service.call("PUT", target, content)[0] == 201
    assert told() == (None, None), "nobody has looked yet"
    assert audited("--deep") == (0, "clean\n")
    eventually(lambda: told() == (0, 0), "the service tells of the first audit")
    [blob] = (tmp_path / "data/hot").glob(f"??/??/{hashlib.sha256(content).hexdigest()}")
    blob.chmod(0o600)
    blob.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    code, said = audited("--deep")
    assert code == 1, said
    assert blob.name in said
    eventually(lambda: told() == (1, 0), "the service tells of the second audit")
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        service.call("GET", target)
    assert service.call("PUT", target, content)[0] == 200, "the same bytes heal what a read found"
    assert audited("--deep") == (0, "clean\n")
    eventually(lambda: told() == (0, 0), "the service tells of the third audit")
