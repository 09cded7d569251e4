"""What every command that talks to a server does before it can talk to it."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import trustme


@pytest.fixture
def untrusted() -> Iterator[str]:
    """The URL of a server whose certificate nobody vouches for; it counts nothing else."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def shake_hands() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    with connection, contextlib.suppress(OSError):
                        context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=shake_hands)
        thread.start()
        yield f"https://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def test_an_untrusted_server(run: Any, untrusted: str) -> None:
    """The key is not sent to it, waiting is no use, and the sentence says what it is."""
    result = run("objects", "ls", "docs/acme", "--url", untrusted)
    assert result.exit_code == 1
    assert f"{untrusted} is not trusted" in result.stderr


def test_a_port_that_speaks_something_else(run: Any) -> None:
    """An answer that is not HTTP is one line, and exit code 4."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def babble() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"220 ready\r\n")
                connection.recv(65_536)

        thread = threading.Thread(target=babble)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        result = run("objects", "ls", "docs/acme", "--url", url, "--patience", "0")
        thread.join()
    assert result.exit_code == 4
    assert result.stderr.startswith(f"juststorage: {url} does not answer: ")


def test_answers_that_are_no_documents(run: Any) -> None:
    """A proxy's page instead of a problem document is told by its status, without its markup."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                connection.sendall(b"HTTP/1.1 413 Too Large\r\ncontent-length: 6\r\n\r\n<html>")

        thread = threading.Thread(target=refuse)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        result = run("objects", "ls", "docs/acme", "--url", url)
        thread.join()
    assert (result.exit_code, result.stderr) == (1, "juststorage: the server answered 413\n")


@pytest.mark.parametrize("words", [("stat",), ("get",), ("put", "file")], ids=lambda w: w[0])
@pytest.mark.parametrize("again", [503, 404, 206], ids=["the same", "another", "none"])
def test_the_reason_of_a_refused_head(run: Any, words: tuple[str, ...], again: int) -> None:
    """Is asked for by a GET of one byte; what that says counts where it is the same refusal."""
    document = b'{"code": "read_only", "detail": "we count our shelves"}'
    ranges = []

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(503)
            self.end_headers()

        def do_GET(self) -> None:
            ranges.append(self.headers["range"])
            self.send_response(again)
            self.send_header("content-length", str(len(document)))
            self.end_headers()
            self.wfile.write(document)

        def log_message(self, *_: object) -> None:
            pass

    Path("file").write_bytes(b"x")
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        words = ("objects", *words, "docs/acme/x", "--url", url, "--patience", "0", "--json")
        result = run(*words)
        server.shutdown()
        thread.join()
    error = json.loads(result.stdout)["error"]
    told = ("read_only", "we count our shelves")
    expected = told if again == 503 else ("unavailable", "the server answered 503")
    assert (result.exit_code, error["code"], error["detail"]) == (4, *expected)
    assert ranges == ["bytes=0-0"]


def test_without_the_extra(environment: dict[str, str]) -> None:
    """Where the library for HTTP is missing, the sentence says what to install."""
    code = (
        "import sys; sys.modules['httpx2'] = None\n"
        "from juststorage.cli import main; sys.argv[1:] = ['usage']; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "install juststorage-api[client]" in done.stderr
    assert done.stderr.count("\n") == 1


def test_help_needs_neither_server_nor_library(environment: dict[str, str]) -> None:
    """`--help` of each has examples and exit codes, and loads no library for HTTP."""
    code = (
        "import sys\n"
        "from juststorage.cli._main import juststorage\n"
        "for words in (['objects'], ['objects', 'ls'], ['objects', 'stat'], ['objects', 'get'],"
        " ['objects', 'put'], ['objects', 'rm'], ['objects', 'cp'], ['usage'], ['import'],"
        " ['export']):\n"
        "    juststorage([*words, '--help'], standalone_mode=False)\n"
        "assert 'httpx2' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Example") == 10
    assert done.stdout.count("Exit codes:") == 9
