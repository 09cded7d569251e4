"""Uploads over a network that breaks: sent again or gone on with, stored once, given up in time."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def name(request: pytest.FixtureRequest, content: bytes) -> str:
    """An object that is not there yet; what it shall hold is in `file`."""
    Path("file").write_bytes(content)
    return f"docs/retries/{request.node.name}"


@pytest.fixture(autouse=True)
def here(run: Run) -> None:
    """In an empty directory."""


def found(server: Any, name: str) -> dict[str, Any]:
    """What the server says of the object."""
    key = name.partition("/retries/")[2]
    _, page = server.call("GET", "/v1/objects?namespace=docs&tenant_id=retries")
    (each,) = [each for each in json.loads(page)["objects"] if each["key"] == key]
    return dict(each)


def test_cut_while_it_is_sent(
    run: Run, server: Any, network: Any, name: str, content: bytes
) -> None:
    """What the server has of an upload that broke is nothing: all of it is sent again."""
    way = network([], uploads=[1_000_000, 3_000_000])
    result = run("objects", "put", "file", name, "--json", JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 0, result.output
    assert way.connections == 3
    assert way.sent[0] < way.sent[1] < len(content) < way.sent[2]
    assert json.loads(result.stdout)["id"] == found(server, name)["id"]
    assert server.call("GET", f"/v1/objects/by-key/{name}") == (200, content)


@pytest.mark.parametrize("condition", [[], ["--if-absent"]], ids=["put", "put if absent"])
def test_the_answer_is_lost(
    run: Run, server: Any, network: Any, name: str, condition: list[str]
) -> None:
    """The repetition finds what the first one stored: the same object, not one in its place."""
    first: list[dict[str, Any]] = []
    way = network([], lose=b"HTTP/1.1 201", on_cut=lambda: first.append(found(server, name)))
    words = ("objects", "put", "file", name, *condition, "--json")
    result = run(*words, JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 0, result.output
    assert way.connections == 2 and way.sent[1] > Path("file").stat().st_size
    assert [json.loads(result.stdout)] == first == [found(server, name)]


def test_given_up(run: Run, server: Any, network: Any, name: str) -> None:
    """Cut at the same place each time it is no progress: exit code 4, and nothing is stored."""
    way = network([], uploads=[1_000_000] * 20)
    words = ("objects", "put", "file", name, "--patience", "1", "--json")
    result = run(*words, JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 4
    assert json.loads(result.stdout)["error"]["code"] == "unavailable"
    assert 1 < way.connections < 20
    assert server.call("HEAD", f"/v1/objects/by-key/{name}")[0] == 404


def test_a_file_of_many(run: Run, network: Any, content: bytes, tmp_path: Path) -> None:
    """An import repeats the file that was cut, and no other."""
    (tmp_path / "tree").mkdir()
    for number in range(3):
        (tmp_path / f"tree/{number}").write_bytes(content + b"%d" % number)
    way = network([], uploads=[6_000_000])
    words = ("import", "tree", "docs/retries/tree/", "--jobs", "1", "--json")
    result = run(*words, JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["counts"] == {"stored": 3}
    assert way.connections == 2
    # The first one is whole, the second was cut: it and the third came on the second connection.
    assert 2 * len(content) < way.sent[1] < 3 * len(content)


class TestRetryAfter:
    """The server says when to come back."""

    @pytest.fixture
    def limited(self, harness: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        """A server that takes one request in four seconds."""
        starter = harness.Starter(tmp_path_factory.mktemp("limited"))
        limits = {"REQUESTS_PER_KEY": "1", "WINDOW_S": "4", "SHARED": "false"}
        named = {f"JUSTSTORAGE__RATE_LIMITS__{name}": value for name, value in limits.items()}
        try:
            yield starter(environment={**harness.MEMORY, **named})
        finally:
            for each in starter.servers:
                each.end()

    def test_no_request_comes_too_early(self, run: Run, limited: Any, name: str) -> None:
        """Whoever waits as told is refused once for each request at most."""
        for _ in range(2):
            result = run("objects", "put", "file", name, JUSTSTORAGE_URL=limited.url)
            assert result.exit_code == 0, result.output
        _, told = limited.call("GET", "/metrics")
        counts = re.findall(
            rb'^juststorage_http_requests_total\{.*status="429".* (\d+)', told, re.M
        )
        assert 1 <= sum(map(int, counts)) <= 4

    def test_longer_than_there_is_patience(self, run: Run, limited: Any, name: str) -> None:
        """It is not waited for: the refusal is told at once, with its code."""
        words = ("objects", "put", "file", name, "--patience", "0", "--json")
        results = [run(*words, JUSTSTORAGE_URL=limited.url) for _ in range(2)]
        assert results[-1].exit_code == 1
        assert json.loads(results[-1].stdout)["error"]["code"] == "rate_limited"


@pytest.mark.timeout(300)
class TestLargeFiles:
    """From `RESUMABLE_BYTES` on nothing is sent twice that the server has."""

    @pytest.fixture
    def large(self) -> bytes:
        """Bytes of a file that is large enough, and no whole number of anything."""
        return os.urandom(1_000_003) * 70

    @pytest.fixture
    def sent(self, large: bytes, request: pytest.FixtureRequest) -> str:
        """An object that is not there yet; what it shall hold is in `large`."""
        Path("large").write_bytes(large)
        return f"docs/retries/large-{re.sub('[^a-z0-9]', '-', request.node.name)}"

    def test_goes_on_where_it_broke(
        self, run: Run, server: Any, network: Any, large: bytes, sent: str
    ) -> None:
        """Cut three times, less than a quarter of it is sent a second time."""
        way = network([], uploads=[20_000_000, 25_000_000, 100, 15_000_000])
        result = run("objects", "put", "large", sent, "--json", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert way.connections >= 5
        assert len(large) < sum(way.sent) < len(large) * 5 / 4
        assert json.loads(result.stdout)["id"] == found(server, sent)["id"]
        assert server.call("GET", f"/v1/objects/by-key/{sent}") == (200, large)

    def test_the_answer_is_lost(self, run: Run, server: Any, network: Any, sent: str) -> None:
        """The object is the one that was stored, and not a byte is sent for it again."""
        way = network([], lose=b"preference-applied")
        words = ("objects", "put", "large", sent, "--if-absent", "--json")
        result = run(*words, JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert sum(way.sent) < Path("large").stat().st_size + 100_000
        assert json.loads(result.stdout) == found(server, sent)

    def test_the_answer_is_lost_and_the_object_replaced(
        self, run: Run, server: Any, network: Any, sent: str
    ) -> None:
        """What came later stays: what was stored is not sent again over it."""
        url = f"/v1/objects/by-key/{sent}"
        way = network(
            [], lose=b"preference-applied", on_cut=lambda: server.call("PUT", url, b"newer")
        )
        result = run("objects", "put", "large", sent, "--json", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["size_bytes"] == Path("large").stat().st_size
        assert server.call("GET", url) == (200, b"newer")

    def test_given_up(self, run: Run, server: Any, network: Any, sent: str) -> None:
        """Cut at its first byte each time it is no progress: exit code 4, and nothing is stored."""
        way = network([], uploads=[1_000_000] + [500] * 30)
        result = run(
            "objects", "put", "large", sent, "--patience", "1", "--json", JUSTSTORAGE_URL=way.url
        )
        assert result.exit_code == 4
        assert json.loads(result.stdout)["error"]["code"] == "unavailable"
        assert server.call("HEAD", f"/v1/objects/by-key/{sent}")[0] == 404

    def test_a_file_of_many(self, run: Run, server: Any, network: Any, large: bytes) -> None:
        """An import goes on in the middle of a file."""
        Path("tree").mkdir()
        Path("tree/large").write_bytes(large)
        way = network([], uploads=[40_000_000])
        words = ("import", "tree", "docs/retries/large/", "--jobs", "1", "--json")
        result = run(*words, JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 0, result.output
        assert sum(way.sent) < len(large) * 9 / 8
        assert server.call("GET", "/v1/objects/by-key/docs/retries/large/large") == (200, large)

    def test_a_file_that_changes(self, run: Run, server: Any, network: Any, sent: str) -> None:
        """It is not stored, however much of it the server has."""

        def change() -> None:
            with Path("large").open("r+b") as opened:
                opened.write(b"other bytes")

        way = network([], uploads=[30_000_000], on_cut=change)
        given_up = self.given_up(server)
        result = run("objects", "put", "large", sent, "--json", JUSTSTORAGE_URL=way.url)
        assert result.exit_code == 1
        assert self.given_up(server) == given_up + 1
        assert "changed" in json.loads(result.stdout)["error"]["detail"]
        assert server.call("HEAD", f"/v1/objects/by-key/{sent}")[0] == 404

    @staticmethod
    def given_up(server: Any) -> int:
        """How many uploads were given up so far."""
        told = server.call("GET", "/metrics")[1].decode()
        found = re.search(
            r'requests_total\{method="DELETE",route="/v1/uploads/{upload}",status="204"\} (\d+)',
            told,
        )
        return 0 if found is None else int(found[1])

    def test_a_bar_that_tells_the_truth(self, watch: Any, sent: str) -> None:
        """It ends at all of it, and never goes back where nothing breaks."""
        watched = watch("objects", "put", "large", sent)
        assert watched.returncode == 0, watched.shown
        assert watched.percentages == sorted(watched.percentages)
        assert watched.percentages[-1] == 100

    @pytest.mark.parametrize("status", [404, 501])
    def test_a_server_that_cannot(self, run: Run, large: bytes, sent: str, status: int) -> None:
        """One of an older release, or on a store that has no such thing, gets it whole."""
        with Older(status) as older:
            result = run("objects", "put", "large", sent, "--json", JUSTSTORAGE_URL=older.url)
        assert result.exit_code == 0, result.output
        assert older.asked == [
            ("HEAD", f"/v1/objects/by-key/{sent}"),
            ("POST", "/v1/uploads"),
            ("PUT", f"/v1/objects/by-key/{sent}"),
        ]
        assert older.received == large


class Older:
    """A server that knows of no resumable uploads, and takes one whole one."""

    def __init__(self, status: int) -> None:
        self.asked: list[tuple[str, str]] = []
        self.received = b""
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, status: int, document: dict[str, Any]) -> None:
                outer.asked.append((self.command, self.path.partition("?")[0]))
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                self.answer(404, {})

            def do_POST(self) -> None:
                self.answer(status, {"code": "of an older release", "detail": "no such thing"})

            def do_PUT(self) -> None:
                outer.received = self.rfile.read(int(self.headers["content-length"]))
                digest = hashlib.sha256(outer.received).hexdigest()
                size = len(outer.received)
                self.answer(201, {"content_hash": f"sha256:{digest}", "size_bytes": size})

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Older:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
