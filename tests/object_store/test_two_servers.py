"""How a deployment outgrows one machine: two servers, one PostgreSQL, and a bucket."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from juststorage_objectstore.testing import FaultyProxy, S3Server

KEY = "the-key-of-these-tests-only"
TENANT = "acme"
QUERY = f"?tenant_id={TENANT}"
PATCH = "application/merge-patch+json"
MIB = 1024 * 1024
LARGE = bytes(range(256)) * (11 * MIB // 256) + b"and a bit"


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON; the answer must be a success."""
        assert self.status in {200, 201}, self
        return json.loads(self.body)


def call(server: Any, method: str, target: str, body: Any = None, **headers: str) -> Answer:
    """One request on a connection of its own; a body that is no bytes is sent as JSON."""
    fields = {"X-API-Key": KEY} | {name.replace("_", "-"): v for name, v in headers.items()}
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
        fields.setdefault("Content-Type", "application/json")
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    try:
        connection.request(method, target, body=body, headers=fields)
        response = connection.getresponse()
        answered = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, answered, response.read())
    finally:
        connection.close()


def put(server: Any, key: str, data: bytes, storage_class: str) -> Any:
    """Store an object."""
    target = f"/v1/objects/by-key/ns/{TENANT}/{key}?storage_class={storage_class}"
    return call(server, "PUT", target, data).document


def get(server: Any, stored: Any, **headers: str) -> Answer:
    """The bytes of an object."""
    return call(server, "GET", f"/v1/objects/{stored['id']}{QUERY}", **headers)


class Deployment:
    """Two servers, and the command line, on one configuration."""

    def __init__(self, environment: dict[str, str], root: Path, serve: Any) -> None:
        self.environment = environment
        self._root = root
        self._serve = serve

    def start_two(self) -> tuple[Any, Any]:
        """Both servers."""
        return self.start(1), self.start(2)

    def start(self, number: int) -> Any:
        """A server with a directory of its own, as on a machine of its own."""
        data = self._root / f"machine-{number}"
        data.mkdir(exist_ok=True)
        return self._serve("--data-dir", str(data), environment=self.environment)

    def command(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """A command beside the servers."""
        return subprocess.run(
            [sys.executable, "-c", "from juststorage.cli import main; main()", *words],
            env={**self.environment, **environment},
            cwd=self._root,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def run(self, *words: str) -> str:
        """A command that must succeed; what it prints."""
        done = self.command(*words)
        assert done.returncode == 0, (words, done.stdout, done.stderr)
        return done.stdout


Table = dict[str, Any]
EITHER = ["hot on files", "both in the bucket"]
IN_BUCKET = pytest.mark.parametrize("deployment", EITHER[1:], indirect=True)


@pytest.fixture
def line(s3_server: S3Server, s3_bucket: str, proxy: FaultyProxy) -> Table:
    """Options that lead to the bucket over the line."""
    return s3_server.table(s3_bucket, "prod", endpoint=proxy.endpoint, retries=1)


@pytest.fixture(params=EITHER)
def deployment(
    request: pytest.FixtureRequest, serve: Any, tmp_path: Path, postgres_url: str, line: Table
) -> Deployment:
    """Cold is in the bucket; hot is beside it, or on a volume that both servers see."""
    environment = {
        "PATH": "/usr/bin:/bin",
        "JUSTSTORAGE__METADATA__BACKEND": "postgres",
        "JUSTSTORAGE__METADATA__POSTGRES__URL": postgres_url,
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        "JUSTSTORAGE__GC__ENABLED": "false",
        "JUSTSTORAGE__GC__GRACE_S": "0",
        "JUSTSTORAGE__GC__STAGING_GRACE_S": "0",
        "JUSTSTORAGE__GC__TRASH_RETENTION_S": "0",
    }
    classes = ["COLD"] if request.param == "hot on files" else ["HOT", "COLD"]
    for name in classes:
        where = f"JUSTSTORAGE__BLOBS__{name}__"
        environment[f"{where}BACKEND"] = "objectstore"
        for option, value in line.items():
            environment[f"{where}OBJECTSTORE__{option.upper()}"] = str(value)
    if "HOT" not in classes:
        environment["JUSTSTORAGE__BLOBS__HOT__BACKEND"] = "localfs"
        environment["JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT"] = str(tmp_path / "shared")
        (tmp_path / "shared").mkdir()
    return Deployment(environment, tmp_path, serve)


def objects_in(server: S3Server, bucket: str, storage_class: str) -> int:
    """How many blobs of a class lie in the bucket, by what the S3 server has on its disk."""
    assert server.root is not None
    return sum(
        path.is_file() for path in (server.root / bucket / "prod" / storage_class).glob("blobs/*/*")
    )


@pytest.fixture
def in_bucket(s3_server: S3Server, s3_bucket: str) -> Callable[[str], int]:
    """`in_bucket(storage_class)`: how many blobs lie there."""
    if s3_server.root is None:
        pytest.skip("the disk of a server that is not ours cannot be looked at")
    return lambda storage_class: objects_in(s3_server, s3_bucket, storage_class)


def test_what_one_stores_the_other_serves(
    deployment: Deployment, in_bucket: Callable[[str], int]
) -> None:
    """Stored, read, in ranges too, moved, copied, shared and deleted, each at the other server."""
    one, two = deployment.start_two()
    small = put(one, "small", b"a small body", "cold")
    large = put(two, "large", LARGE, "cold")
    assert get(two, small).body == b"a small body"
    answer = get(one, large)
    assert (answer.status, answer.body) == (200, LARGE)
    part = get(one, large, Range="bytes=9000000-10000000")
    assert (part.status, part.body) == (206, LARGE[9_000_000:10_000_001])
    assert in_bucket("cold") == 2
    # Equal bytes are stored once, whoever sends them.
    twin = put(one, "twin", LARGE, "cold")
    assert in_bucket("cold") == 2
    # To the other class and back.
    target = f"/v1/objects/{large['id']}{QUERY}"
    moved = call(two, "PATCH", target, {"storage_class": "hot"}, Content_Type=PATCH).document
    assert moved["storage_class"] == "hot"
    assert get(one, large).body == LARGE
    back = call(one, "PATCH", target, {"storage_class": "cold"}, Content_Type=PATCH).document
    assert back["storage_class"] == "cold"
    assert get(two, large).body == LARGE
    copied = call(
        two, "POST", f"/v1/objects/{small['id']}/copy{QUERY}", {"storage_class": "hot", "key": "c"}
    ).document
    assert get(one, copied).body == b"a small body"
    # A delete at one is a delete at the other, and what is still referred to stays.
    assert call(one, "DELETE", target).status == 204
    assert get(two, large).status == 404
    deployment.run("gc", "run")
    deployment.run("gc", "run")
    assert get(two, twin).body == LARGE
    assert get(one, copied).body == b"a small body"
    assert in_bucket("cold") == 2
    for stored in (twin, small, copied):
        assert call(two, "DELETE", f"/v1/objects/{stored['id']}{QUERY}").status == 204
    deployment.run("gc", "run")
    assert in_bucket("cold") == 0
    assert in_bucket("hot") == 0
    deployment.run("fsck", "--deep")


def test_many_clients_at_both(deployment: Deployment, in_bucket: Callable[[str], int]) -> None:
    """Twelve clients store, read and delete shared bytes at both; nothing is lost or left."""
    bodies = [bytes([number]) * (20_000 + number) for number in range(4)]
    problems: list[str] = []
    servers = deployment.start_two()

    def client(number: int) -> None:
        for turn in range(6):
            body = bodies[(number + turn) % len(bodies)]
            one, two = servers[turn % 2], servers[(turn + 1) % 2]
            stored = put(one, f"{number}-{turn}", body, ["hot", "cold"][number % 2])
            answer = get(two, stored)
            if answer.body != body:
                problems.append(f"{number}-{turn}: {answer.status}")
            if turn % 3:
                call(two, "DELETE", f"/v1/objects/{stored['id']}{QUERY}")

    threads = [threading.Thread(target=client, args=[number]) for number in range(12)]
    for thread in threads:
        thread.start()
    deployment.run("gc", "run")
    for thread in threads:
        thread.join()
    assert problems == []
    deployment.run("gc", "run")
    deployment.run("gc", "run")
    deployment.run("fsck", "--deep")
    assert in_bucket("cold") == len(bodies)


@IN_BUCKET
def test_a_server_that_dies_takes_nothing_along(deployment: Deployment) -> None:
    """What a killed server acknowledged the other one serves; another takes its place."""
    one, two = deployment.start_two()
    stored = put(one, "kept", LARGE, "cold")
    one.end()
    assert get(two, stored).body == LARGE
    again = deployment.start(1)
    assert get(again, stored).body == LARGE
    assert put(again, "more", b"more", "cold")["size_bytes"] == 4


def test_a_bucket_that_is_away(deployment: Deployment, proxy: FaultyProxy) -> None:
    """Cold is unavailable, and said to be; both servers come back with it, by themselves."""
    one, two = deployment.start_two()
    stored = put(one, "kept", LARGE, "cold")
    for method in ("GET", "PUT", "POST", "HEAD", "DELETE"):
        proxy.on(method, "status", times=9999, status=503)
    target = f"/v1/objects/by-key/ns/{TENANT}/new?storage_class=cold"
    refused = call(one, "PUT", target, b"new")
    assert refused.status == 503
    assert json.loads(refused.body)["code"] == "unavailable"
    assert get(two, stored).status == 503
    ready = call(two, "GET", "/health/ready")
    assert ready.status == 503
    assert b"blobs.cold" in ready.body
    if "JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT" in deployment.environment:
        hot = put(two, "hot", b"files are there", "hot")
        assert get(one, hot).body == b"files are there"
    proxy.heal()
    assert call(two, "GET", "/health/ready").status == 200
    assert get(two, stored).body == LARGE
    assert call(one, "GET", f"/v1/objects/by-key/ns/{TENANT}/new").status == 404
    assert put(one, "new", b"new", "cold")["size_bytes"] == 3
    deployment.run("fsck", "--deep")


@IN_BUCKET
def test_config_check_opens_the_bucket(deployment: Deployment) -> None:
    """Before traffic: a bucket that is there is proved, one that is not is named, secrets never."""
    assert "blobs.cold" in deployment.run("config", "check", "--open")
    secret = deployment.environment["JUSTSTORAGE__BLOBS__COLD__OBJECTSTORE__SECRET_ACCESS_KEY"]
    assert secret not in deployment.run("config", "show")
    where = "JUSTSTORAGE__BLOBS__COLD__OBJECTSTORE__URL"
    wrong = deployment.command("config", "check", "--open", **{where: "s3://no-such-bucket"})
    assert wrong.returncode == 2
    said = wrong.stderr + wrong.stdout
    assert "the bucket does not exist" in said
    assert secret not in said
