"""A real server that speaks Azure's protocol: Azurite, Microsoft's own emulator, from npm.

It keeps everything in memory, starts in about two seconds and listens on this machine alone. It
sends nothing to its makers. Where it is missing, the tests are skipped (`_required`), and pytest's
header says so.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from juststorage.plugins import Secret
from juststorage.testing import do_without
from juststorage_objectstore._options import ObjectStoreOptions
from juststorage_objectstore.testing._programs import (
    READY_S,
    find_program,
    free_port,
    running_program,
)

__all__ = ["AzureServer", "azure_source", "running_azure"]

_PROGRAM: Final = "azurite-blob"
_MISSING: Final = (
    "there is no Azure server: npm install --global --prefix ~/.local --ignore-scripts"
    " azurite@3.35.0"
)
_ACCOUNT: Final = "juststoragetest"
_API: Final = "2023-11-03"


class AzureServer(NamedTuple):
    """A server, and the key of its one account (base64)."""

    endpoint: str
    account_key: str

    def options(self, container: str, prefix: str = "", **more: Any) -> ObjectStoreOptions:
        """Options for a container, quick to fail."""
        defaults: dict[str, Any] = {"timeout_s": 10.0, "retries": 2, "deadline_s": 20.0}
        return ObjectStoreOptions(
            url=f"az://{_ACCOUNT}/{container}/{prefix}".rstrip("/"),
            endpoint=f"{self.endpoint}/{_ACCOUNT}",
            **{"account_key": Secret(self.account_key), **defaults, **more},
        )

    def make_container(self) -> str:
        """A new container's name."""
        name = f"juststorage-{secrets.token_hex(6)}"
        path = f"/{_ACCOUNT}/{name}"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": _API}
        signed = "\n".join(
            [
                "PUT",
                *[""] * 11,  # the header fields that this request has not
                *(f"{field}:{value}" for field, value in headers.items()),
                f"/{_ACCOUNT}{path}",
                "restype:container",
            ]
        )
        key = base64.b64decode(self.account_key)
        signature = base64.b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).decode()
        headers["Authorization"] = f"SharedKey {_ACCOUNT}:{signature}"
        connection = HTTPConnection(urlsplit(self.endpoint).netloc, timeout=READY_S)
        try:
            connection.request(
                "PUT", f"{path}?restype=container", headers={**headers, "Content-Length": "0"}
            )
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status != HTTPStatus.CREATED:
            raise RuntimeError(f"{self.endpoint} made no container: {answer.status} {text!r}")
        return name


def azure_source() -> str:
    """Which server tests will run on, or that they will not."""
    return find_program(_PROGRAM) or f"TESTS ARE SKIPPED: {_MISSING}"


@contextmanager
def running_azure() -> Iterator[AzureServer]:
    """A server for as long as the block lasts. Skips, or fails where `azure` is required."""
    program = find_program(_PROGRAM)
    if program is None:
        do_without("azure", _MISSING)
    with tempfile.TemporaryDirectory(prefix="juststorage-azure-") as directory:
        root, port = Path(directory), free_port()
        key = base64.b64encode(secrets.token_bytes(64)).decode()
        command = [
            program,
            *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--silent"),
            *("--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"),
        ]
        env = {"AZURITE_ACCOUNTS": f"{_ACCOUNT}:{key}", "HOME": os.environ.get("HOME", directory)}
        with running_program(command, port, root / "log", env=env):
            yield AzureServer(f"http://127.0.0.1:{port}", key)
