"""The order of system calls behind a 201, as the kernel sees it: strace watches a real server.

The bytes are synced, then they get their name, then the name is synced, then the database commits,
and then the client hears of it. Any other order is right as long as the power stays on.
"""

from __future__ import annotations

import hashlib
import http.client
import re
from contextlib import AbstractContextManager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from juststorage_postgres.testing import *  # noqa: F403
from tests.serve.tracing import straced

KEY = "the-key-of-these-tests-only"
CALLS = (
    "fsync,fdatasync,syncfs,rename,renameat,renameat2,read,recvfrom,write,writev,pwrite64,sendto"
)
_LINE = re.compile(r"(?P<thread>\d+) +(?:<\.\.\. )?(?P<name>\w+)(?P<rest>.*)")


class Call(NamedTuple):
    """One that has ended."""

    name: str
    arguments: str
    began: int
    ended: int


def calls(trace: str) -> list[Call]:
    """All calls of a trace, in the order in which they began."""
    under_way: dict[tuple[str, str], tuple[int, str]] = {}
    found = []
    for place, line in enumerate(trace.splitlines()):
        match = _LINE.match(line)
        if match is None:
            continue
        thread, name, rest = match.group("thread", "name", "rest")
        began, before = place, ""
        if " resumed>" in line:
            began, before = under_way.pop((thread, name), (place, ""))
        if rest.endswith("<unfinished ...>"):
            under_way[thread, name] = (place, rest)
        elif " = -1 " not in rest:
            found.append(Call(name, before + rest, began, place))
    return sorted(found, key=lambda call: call.began)


def test_calls_that_interrupt_each_other() -> None:
    """One that another thread's call came between has its arguments, and both its ends."""
    trace = """\
7 fsync(3</a/file> <unfinished ...>
8 write(4</b>, "x", 1) = 1
9 read(5</c>, 0x7f, 8) = -1 EAGAIN (Resource temporarily unavailable)
7 <... fsync resumed>) = 0
"""
    first, second = calls(trace)
    assert (first.name, first.began, first.ended) == ("fsync", 0, 3)
    assert "/a/file" in first.arguments
    assert (second.name, second.began, second.ended) == ("write", 1, 1)


def traced(pid: int, into: Path) -> AbstractContextManager[None]:
    """Trace all threads of a process meanwhile."""
    return straced(pid, "-yy", "-s", "64", "-e", f"trace={CALLS}", "-o", str(into))


class Service:
    """A server with one process."""

    def __init__(self, server: Any) -> None:
        self.server = server

    def upload(self, data: bytes) -> None:
        """With success."""
        connection = http.client.HTTPConnection(*self.server.address, timeout=60)
        try:
            target = "/v1/objects?namespace=n&tenant_id=t"
            connection.request("POST", target, data, {"X-API-Key": KEY})
            assert connection.getresponse().status == 201
        finally:
            connection.close()


@pytest.fixture(params=["sqlite", "postgres"])
def store(request: pytest.FixtureRequest) -> str:
    """The metadata store."""
    kind: str = request.param
    return kind


@pytest.fixture
def service(request: pytest.FixtureRequest, serve: Any, tmp_path: Path, store: str) -> Service:
    """A server on files that does nothing by itself."""
    environment = {
        "JUSTSTORAGE__METADATA__BACKEND": store,
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        "JUSTSTORAGE__GC__ENABLED": "false",
        "JUSTSTORAGE__METRICS__COUNT_INTERVAL_S": "0",
    }
    if store == "postgres":
        url = request.getfixturevalue("postgres_url")
        environment["JUSTSTORAGE__METADATA__POSTGRES__URL"] = url
    (tmp_path / "data").mkdir()
    return Service(
        serve("--data-dir", str(tmp_path / "data"), "--workers", "1", environment=environment)
    )


def neighbours(size: int) -> tuple[bytes, bytes]:
    """Two bodies of about this size that have one directory."""
    seen: dict[str, bytes] = {}
    for number in count():
        data = b"%d" % number + bytes(size)
        directory = hashlib.sha256(data).hexdigest()[:4]
        if directory in seen:
            return seen[directory], data
        seen[directory] = data
    raise AssertionError("count has no end")


def is_commit(call: Call, store: str) -> bool:
    """Whether the database may be told to commit by it."""
    if store == "sqlite":
        return call.name == "pwrite64" and "sqlite3-wal>" in call.arguments
    return call.name in {"write", "sendto"} and '"B\\0' in call.arguments


def is_committed(call: Call, store: str) -> bool:
    """Whether the database may say by it that it has."""
    if store == "sqlite":
        return call.name in {"fsync", "fdatasync"} and "sqlite3-wal>" in call.arguments
    return call.name in {"read", "recvfrom"} and '"2\\0\\0\\0\\4' in call.arguments


@pytest.mark.parametrize("size", [10, 100_000], ids=["small", "streamed"])
def test_the_order_of_an_upload(service: Service, store: str, tmp_path: Path, size: int) -> None:
    """Data sync, name, sync of the name, commit, answer; one sync each for bytes and name."""
    first, second = neighbours(size)
    service.upload(first)
    with traced(service.server.process.pid, tmp_path / "trace"):
        service.upload(second)
    traced_calls = calls((tmp_path / "trace").read_text())
    name = hashlib.sha256(second).hexdigest()
    directory = f"/{name[:2]}/{name[2:4]}>"

    [renamed] = [c for c in traced_calls if c.name.startswith("rename") and name in c.arguments]
    [answered] = [c for c in traced_calls if '"HTTP/1.1 201' in c.arguments]
    syncs = [c for c in traced_calls if "sync" in c.name and "sqlite3" not in c.arguments]
    data_synced, name_synced = syncs
    assert "/.staging/" in data_synced.arguments
    assert name_synced.arguments.startswith("(")
    assert directory in name_synced.arguments
    assert data_synced.ended < renamed.began
    assert renamed.ended < name_synced.began

    commits = [c for c in traced_calls if is_commit(c, store) and c.began < answered.began]
    assert any(c.ended < renamed.began for c in commits), "it is reserved before it is placed"
    assert name_synced.ended < commits[-1].began
    told = [c for c in traced_calls if is_committed(c, store) and c.began > commits[-1].began]
    assert told[0].ended < answered.began
