"""A real S3 server: the one that the environment names, else versitygw, started here.

versitygw serves S3 over a directory and is one program: `go install` builds it. It starts in a
tenth of a second, listens on this machine alone and leaves nothing behind. Where it is missing, the
tests are skipped (`_required`), and pytest's header says so.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from juststorage.plugins import Secret
from juststorage.testing import do_without
from juststorage_objectstore._options import ObjectStoreOptions
from juststorage_objectstore._signing import Credentials, signed_headers
from juststorage_objectstore.testing._programs import (
    READY_S,
    find_program,
    free_port,
    running_program,
)

__all__ = ["S3Server", "running_s3", "s3_source"]

_PROGRAM: Final = "versitygw"
_VERSION: Final = "v1.8.0"
_MISSING: Final = (
    "there is no S3 server: go install github.com/versity/versitygw/cmd/versitygw@"
    f"{_VERSION}, or name one in JUSTSTORAGE_TEST_S3_URL"
)
_URL: Final = "JUSTSTORAGE_TEST_S3_URL"
_KEY: Final = "juststorage-test"


class S3Server(NamedTuple):
    """A server, and how to get in. `root` is its directory where we started it."""

    endpoint: str
    access_key: str
    secret_key: str
    root: Path | None

    def options(
        self, bucket: str, prefix: str = "", *, endpoint: str | None = None, **more: Any
    ) -> ObjectStoreOptions:
        """Options for a bucket, quick to fail. `endpoint` leads there by another way."""
        defaults: dict[str, Any] = {"timeout_s": 5.0, "retries": 2, "deadline_s": 20.0}
        return ObjectStoreOptions(
            url=f"s3://{bucket}/{prefix}".rstrip("/"),
            endpoint=endpoint or self.endpoint,
            access_key_id=Secret(self.access_key),
            secret_access_key=Secret(self.secret_key),
            **{**defaults, **more},
        )

    def table(self, bucket: str, prefix: str = "", **more: Any) -> dict[str, Any]:
        """The same as a table of configuration."""
        return {
            "url": f"s3://{bucket}/{prefix}".rstrip("/"),
            "endpoint": self.endpoint,
            "access_key_id": self.access_key,
            "secret_access_key": self.secret_key,
            "timeout_s": 5.0,
            **more,
        }

    def make_bucket(self) -> str:
        """A new bucket's name."""
        name = f"juststorage-{secrets.token_hex(6)}"
        status, text = self._send("PUT", f"/{name}")
        if status != HTTPStatus.OK:
            raise RuntimeError(f"{self.endpoint} made no bucket: {status} {text!r}")
        return name

    def _send(self, method: str, path: str) -> tuple[int, bytes]:
        host = urlsplit(self.endpoint).netloc
        headers = signed_headers(
            method,
            host,
            path,
            {},
            region="us-east-1",
            credentials=Credentials(self.access_key, self.secret_key),
            now=datetime.now(UTC),
        )
        connection = HTTPConnection(host, timeout=READY_S)
        try:
            connection.request(method, path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()


def s3_source() -> str:
    """Which server tests will run on, or that they will not."""
    named = os.environ.get(_URL)
    if named:
        return f"{urlsplit(named).hostname}, from {_URL}"
    return find_program(_PROGRAM) or f"TESTS ARE SKIPPED: {_MISSING}"


@contextmanager
def running_s3() -> Iterator[S3Server]:
    """A server for as long as the block lasts. Skips or fails: see above."""
    named = os.environ.get(_URL)
    if named:
        parts = urlsplit(named)
        endpoint = f"{parts.scheme}://{parts.hostname}:{parts.port}"
        yield S3Server(endpoint, parts.username or "", parts.password or "", None)
        return
    program = find_program(_PROGRAM)
    if program is None:
        do_without("s3", _MISSING)
    with tempfile.TemporaryDirectory(prefix="juststorage-s3-") as directory:
        root = Path(directory)
        (root / "data").mkdir()
        secret, port = secrets.token_hex(16), free_port()
        command = [program, "--port", f"127.0.0.1:{port}", "posix", str(root / "data")]
        env = {"ROOT_ACCESS_KEY": _KEY, "ROOT_SECRET_KEY": secret}
        with running_program(command, port, root / "log", env=env):
            yield S3Server(f"http://127.0.0.1:{port}", _KEY, secret, root / "data")
