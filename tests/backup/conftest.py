"""Deployments on real stores, and the command line of whoever backs them up."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from juststorage.config import Config
from juststorage.domain import (
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    ObjectMetadata,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.ports import UploadIntent
from juststorage.runtime import Runtime, UseCases, make_auditor, open_runtime
from juststorage.testing.fixtures import anyio_backend  # noqa: F401
from juststorage_objectstore.testing import pytest_report_header, s3_bucket, s3_server
from juststorage_postgres.testing import (
    empty_postgres_url,
    postgres_databases,
    postgres_server,
    postgres_template,
    postgres_url,
)
from tests.harness import SECRETS, Watched, on_terminal

__all__ = [
    "empty_postgres_url",
    "postgres_databases",
    "postgres_server",
    "postgres_template",
    "postgres_url",
    "pytest_report_header",
    "s3_bucket",
    "s3_server",
]

ACME = TenantId("acme")
_COMMAND = (sys.executable, "-c", "from juststorage.cli import main; main()")


@dataclass
class Deployment:
    """A directory, and variables that configure a service there."""

    directory: Path
    variables: dict[str, str]

    @property
    def environment(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"], **self.variables}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        ran = subprocess.run(
            [*_COMMAND, *words],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if words[0] != "keys":  # which show a new one, once
            assert SECRETS.search(ran.stdout + ran.stderr) is None, words
        return ran

    def watched(self, *words: str) -> Watched:
        """Run a command to its end with standard error on a terminal."""
        return on_terminal(words, cwd=self.directory, env=self.environment)

    def done(self, *words: str) -> str:
        """Run a command that succeeds; what it prints."""
        ran = self.run(*words)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Run a command beside the test."""
        return subprocess.Popen(
            [*_COMMAND, *words],
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def opened(self) -> AbstractAsyncContextManager[Runtime]:
        """The service, in this process."""
        tree = {"data_dir": str(self.directory / "juststorage-data"), "auth": {"chain": []}}
        config = Config.load(environment=self.variables, overrides=tree)
        return open_runtime(config)

    async def fill(self, contents: dict[str, bytes]) -> dict[str, StoredObject]:
        """Store these by their keys; every fourth one cold."""
        found = {}
        async with self.opened() as runtime:
            cases = await UseCases.of(runtime)
            for number, (key, data) in enumerate(contents.items()):
                new = NewObject(
                    id=ObjectId.new(),
                    namespace=Namespace("docs"),
                    tenant_id=ACME,
                    key=ObjectKey(key),
                    storage_class=StorageClass.COLD if number % 4 == 3 else StorageClass.HOT,
                    metadata=ObjectMetadata.of({"number": number, "ä": [1.5, None]}),
                )
                committed = await cases.upload.whole(UploadIntent(new=new), data)
                found[key] = committed.object
        return found

    async def read(self, key: str, runtime: Runtime) -> bytes:
        """What is stored under a key."""
        cases = await UseCases.of(runtime)
        stored = await runtime.metadata.objects.find_by_key(ACME, Namespace("docs"), ObjectKey(key))
        assert stored is not None, key
        async with await cases.download.open(stored) as reader:
            return b"".join([piece async for piece in reader.chunks(0, reader.size_bytes)])

    async def check(self, contents: dict[str, bytes]) -> None:
        """All of these are there, bit by bit, and the store is in order."""
        async with self.opened() as runtime:
            for key, data in contents.items():
                assert await self.read(key, runtime) == data
            found = [each async for each in make_auditor(runtime, deep=True).findings()]
            assert found == []


@pytest.fixture
def deploy(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[..., Deployment]:
    """`deploy(name, metadata)`: an empty deployment on files, with this metadata store."""

    def deployed(name: str, metadata: str = "sqlite", **variables: str) -> Deployment:
        directory = tmp_path / name
        directory.mkdir()
        named = {
            "JUSTSTORAGE__METADATA__BACKEND": metadata,
            "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
            "JUSTSTORAGE__BLOBS__COLD__BACKEND": "localfs",
        }
        if metadata == "postgres":
            url = request.getfixturevalue("postgres_url")
            named["JUSTSTORAGE__METADATA__POSTGRES__URL"] = url
        (directory / "juststorage-data").mkdir()
        return Deployment(directory, named | variables)

    return deployed


@pytest.fixture
def backups(tmp_path: Path) -> Path:
    """A directory for backups."""
    path = tmp_path / "backups"
    path.mkdir()
    return path


@pytest.fixture
def contents() -> dict[str, bytes]:
    """What to store: small and large, some of it equal."""
    made = {f"small/{number}": bytes([number % 50]) * (100 + number % 50) for number in range(120)}
    made |= {f"large/{number}": os.urandom(700_000 + number) for number in range(8)}
    return made | {"empty": b"", "ä/\N{GRINNING FACE}": b"name"}
