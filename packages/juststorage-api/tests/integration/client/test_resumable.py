"""How `objects put` goes on with a large file: what is tried again, for how long, and given up.

The server is one that says what a test wants, as a real one does at a bad moment.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import Result

from juststorage_api._client import _resumable, _upload

Run = Callable[..., Result]
Answer: TypeAlias = "tuple[int, dict[str, Any]] | None"

DATA = bytes(range(251)) * 400
STORED = {
    "content_hash": "sha256:" + hashlib.sha256(DATA).hexdigest(),
    "size_bytes": len(DATA),
}
IN_USE = (409, {"code": "upload_in_use"})
GONE = (404, {"code": "not_found"})
DONE = (200, STORED)
BREAK = None
"""The connection ends without an answer."""


class Scripted:
    """A server that answers each PATCH and HEAD as the test says.

    Args:
        patch: Told how many of the bytes this and the requests before it brought; what to answer.
        head: Where the upload is, or what else to answer.
        reads: Whether it takes the bytes, or answers without.
    """

    def __init__(
        self,
        patch: Callable[[int], Answer],
        head: Callable[[], int | tuple[int, dict[str, Any]]],
        *,
        reads: bool = True,
    ) -> None:
        self.asked: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, answer: Answer, **fields: str) -> None:
                if answer is None:
                    self.close_connection = True
                    return
                status, document = answer
                body = json.dumps(document).encode()
                self.send_response(status)
                for name, value in fields.items():
                    self.send_header(name.replace("_", "-"), value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def do_HEAD(self) -> None:
                if not self.path.startswith("/v1/uploads"):
                    self.answer(GONE)
                    return
                outer.asked.append("HEAD")
                told = head()
                if isinstance(told, int):
                    self.answer((200, {}), Upload_Offset=str(told))
                else:
                    self.answer(told)

            def do_POST(self) -> None:
                outer.asked.append("POST")
                self.answer((201, {}), Location="/v1/uploads/ticket", Upload_Offset="0")

            def do_PATCH(self) -> None:
                outer.asked.append("PATCH")
                sent = len(self.rfile.read(int(self.headers["content-length"]) if reads else 1))
                self.answer(patch(int(self.headers["upload-offset"]) + sent))

            def do_DELETE(self) -> None:
                outer.asked.append("DELETE")
                self.answer((204, {}))

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Scripted]]:
    """Makes servers; what is sent to them is large enough to be sent in turns."""
    monkeypatch.setattr(_upload, "RESUMABLE_BYTES", len(DATA))
    made: list[Scripted] = []

    def make(patch: Callable[[int], Answer], head: Callable[[], Any], **how: bool) -> Scripted:
        made.append(Scripted(patch, head, **how))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def put(run: Run) -> Callable[..., Result]:
    """Runs the command against such a server."""

    def put_to(server: Scripted, patience: str = "0.7", size: int = len(DATA)) -> Result:
        Path("large").write_bytes(DATA)
        os.truncate("large", size)
        words = ("objects", "put", "large", "docs/t/k", "--patience", patience, "--json")
        return run(*words, JUSTSTORAGE_URL=server.url)

    return put_to


Put = Callable[..., Result]
Serve = Callable[..., Scripted]


def in_turn(*answers: Any) -> Callable[..., Any]:
    """One after the other, the last one for ever."""
    left = list(answers)
    return lambda *_: left.pop(0) if len(left) > 1 else left[0]


def failure(result: Result) -> str:
    """The code that the command tells."""
    return str(json.loads(result.stdout)["error"]["code"])


class TestSentWhole:
    """All bytes have left, and the answer to the last ones has not come."""

    def test_the_server_takes_its_time(
        self, put: Put, serve: Serve, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is waited for as long as it may hash, which is longer than there is patience."""
        monkeypatch.setattr(_resumable, "_HASHED_BYTES_S", len(DATA) / 60)
        server = serve(in_turn(BREAK, *[IN_USE] * 5, DONE), lambda: len(DATA))
        result = put(server, patience="1")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout) == STORED
        assert server.asked.count("PATCH") == 7

    def test_it_takes_too_long(self, put: Put, serve: Serve) -> None:
        """It is left alone with what it is about to store; exit code 4."""
        server = serve(in_turn(BREAK, IN_USE), lambda: len(DATA))
        result = put(server)
        assert (result.exit_code, failure(result)) == (4, "unavailable")
        assert server.asked.count("PATCH") > 2
        assert "DELETE" not in server.asked

    @pytest.mark.parametrize(
        "answer", [BREAK, (503, {"code": "unavailable"}), (429, {"code": "rate_limited"})]
    )
    def test_nobody_says_what_became_of_it(self, put: Put, serve: Serve, answer: Any) -> None:
        """It may be stored yet, and is not given up."""
        server = serve(lambda _: answer, lambda: len(DATA))
        result = put(server)
        assert (result.exit_code, failure(result)) == (4, "unavailable")
        assert "DELETE" not in server.asked

    def test_it_is_refused(self, put: Put, serve: Serve) -> None:
        """What will never be stored is taken away."""
        server = serve(lambda _: (507, {"code": "storage_full"}), lambda: len(DATA))
        result = put(server)
        assert (result.exit_code, failure(result)) == (1, "storage_full")
        assert server.asked == ["POST", "PATCH", "DELETE"]

    def test_the_server_knows_nothing_of_it(self, put: Put, serve: Serve) -> None:
        """It is not begun anew: what has taken its place since would be overwritten."""
        server = serve(in_turn(BREAK, DONE), lambda: GONE)
        result = put(server)
        assert (result.exit_code, failure(result)) == (4, "unavailable")
        assert server.asked == ["POST", "PATCH", "HEAD"]

    def test_another_request_was_first(self, put: Put, serve: Serve) -> None:
        """Told that it is over, the client looks before it believes that nothing is stored."""
        over = (409, {"code": "upload_expired"})
        server = serve(in_turn(over, DONE), lambda: len(DATA))
        result = put(server)
        assert result.exit_code == 0, result.output
        assert server.asked == ["POST", "PATCH", "HEAD", "PATCH"]


class TestNotWhole:
    """The server has some of it, or none."""

    def test_too_slow(self, put: Put, serve: Serve) -> None:
        """A connection that stood still is a break like others: it goes on where the server is."""
        slow = (408, {"code": "upload_too_slow"})
        server = serve(in_turn(slow, DONE), lambda: 1000)
        result = put(server)
        assert result.exit_code == 0, result.output
        assert server.asked == ["POST", "PATCH", "HEAD", "PATCH"]

    def test_a_server_that_forgets_it_each_time(self, put: Put, serve: Serve) -> None:
        """What was sent before is no progress, however often it is sent again; it is given up."""
        places = [GONE, 1000] * 500
        server = serve(lambda _: BREAK, lambda: places.pop(0), reads=False)
        result = put(server, patience="1", size=64 * 2**20)
        assert (result.exit_code, failure(result)) == (4, "unavailable")
        assert server.asked.count("POST") > 1
        assert server.asked[-1] == "DELETE"
        assert len(places) > 900
