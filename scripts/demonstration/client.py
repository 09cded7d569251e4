"""The demonstration's requests: each can be shown as a curl command, and is made by curl.

A machine without curl gets the same requests from Python.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from page import Failure

TIMEOUT_S = 300
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class Call:
    """One request.

    Args:
        method: Such as GET; PUT where there is a file.
        target: Path and query.
        headers: Beside the one that authenticates.
        file: What to upload.
    """

    method: str
    target: str
    headers: dict[str, str] = field(default_factory=dict)
    file: Path | None = None

    def shown(self) -> str:
        """The curl command, with URL and AUTH as shell variables."""
        return " ".join(["curl", *(_quoted(word) for word in self._words("$URL", "$AUTH"))])

    def words(self, url: str, authorization: str) -> list[str]:
        """The arguments of curl."""
        return self._words(url, authorization)

    def _words(self, url: str, authorization: str) -> list[str]:
        words = ["-s", url + self.target, "-H", authorization]
        for name, value in self.headers.items():
            words += ["-r", value.removeprefix("bytes=")] if name == "Range" else []
            words += ["-H", f"{name}: {value}"] if name != "Range" else []
        if self.file is not None:
            words += ["-T", str(self.file)]
        elif self.method == "HEAD":
            words += ["-I"]
        elif self.method != "GET":
            words += ["-X", self.method]
        return words


@dataclass(frozen=True)
class Answer:
    """What came back, and how long it took."""

    status: int
    body: bytes
    took_s: float

    @property
    def document(self) -> Any:
        """The body as JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise Failure(f"the answer is not JSON: {self.body[:200]!r}") from None


class Client:
    """Talks to one server as its administrator."""

    def __init__(self, url: str, key: str) -> None:
        self._url = url
        self._authorization = f"ApiKey {key}"
        self._curl = shutil.which("curl")

    @property
    def has_curl(self) -> bool:
        """Whether curl makes the requests."""
        return self._curl is not None

    def call(self, call: Call) -> Answer:
        """Make a request and keep its whole answer."""
        began = time.monotonic()
        if self._curl is None:
            with self._asked(call) as response:
                return Answer(response.status, response.read(), time.monotonic() - began)
        with tempfile.TemporaryFile() as body:
            status = self._run_curl(call, body)
            took_s = time.monotonic() - began
            body.seek(0)
            return Answer(status, b"" if call.method == "HEAD" else body.read(), took_s)

    def digest(self, call: Call) -> tuple[str, float]:
        """Make a request and keep only the SHA-256 of its body; and the seconds it took."""
        began = time.monotonic()
        digest = hashlib.sha256()
        with self._stream(call) as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        return digest.hexdigest(), time.monotonic() - began

    def _arguments(self, call: Call) -> list[str]:
        assert self._curl is not None
        words = call.words(self._url, f"Authorization: {self._authorization}")
        return [self._curl, "--show-error", "--noproxy", "*", "-m", str(TIMEOUT_S), *words]

    def _run_curl(self, call: Call, body: IO[bytes]) -> int:
        # The status goes to standard error: standard output is the body's.
        ran = subprocess.run(
            [*self._arguments(call), "--write-out", "%{stderr}%{http_code}"],
            stdout=body,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            raise Failure(f"curl could not do {call.method} {call.target}: {ran.stderr.strip()}")
        return int(ran.stderr[-3:])

    @contextmanager
    def _stream(self, call: Call) -> Iterator[IO[bytes]]:
        if self._curl is None:
            with self._asked(call) as response:
                yield response
            return
        with subprocess.Popen([*self._arguments(call), "-f"], stdout=subprocess.PIPE) as ran:
            assert ran.stdout is not None
            yield ran.stdout
        if ran.returncode != 0:
            raise Failure(f"curl could not do {call.method} {call.target}")

    @contextmanager
    def _asked(self, call: Call) -> Iterator[Any]:
        netloc = urlsplit(self._url).netloc
        connection = http.client.HTTPConnection(netloc, timeout=TIMEOUT_S, blocksize=_BLOCK)
        headers = {"Authorization": self._authorization, **call.headers}
        try:
            if call.file is None:
                connection.request(call.method, call.target, headers=headers)
            else:
                headers["Content-Length"] = str(call.file.stat().st_size)
                with call.file.open("rb") as file:
                    connection.request(call.method, call.target, body=file, headers=headers)
            yield connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"{call.method} {call.target} failed: {error}") from error
        finally:
            connection.close()


def _quoted(word: str) -> str:
    """A word as a shell wants it; variables stay variables."""
    if "$" in word:
        return f'"{word}"'
    if any(letter in word for letter in " {}\"'?&;*"):
        return "'" + word.replace("'", "'\\''") + "'"
    return word
