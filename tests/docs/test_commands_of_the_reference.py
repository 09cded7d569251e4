"""Each command of docs/reference/commands.md is typed as it stands, and ends well.

In this process, as most of them need none of their own; what is for a shell is done by one, and
what runs on by a process that is told to end. What a page cannot know is put in its place: the ids,
the address of the service, and directories that belong to the test.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
import signal
import subprocess
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import pytest
from click.testing import CliRunner

from juststorage.cli._main import juststorage
from juststorage.domain import Namespace, NewObject, ObjectId, ObjectKey, TenantId
from juststorage.ports import UploadIntent
from juststorage.runtime import UseCases, open_runtime
from scripts.follow_tutorial import Block, blocks, follow
from tests.docs.test_followed_pages import at_home, database, reader
from tests.harness import PATIENCE_S
from tests.wire.serving import served
from tests.wire.wire import Service

__all__ = ["database", "reader"]

PAGE = (Path(__file__).parents[2] / "docs/reference/commands.md").read_text(encoding="utf-8")
EXAMPLES = [block for block in blocks(PAGE) if block.word == "sh"]
CODES = re.compile(r"^Exit codes:\n\n(?P<codes>(?:- `\d+`: .*\n)+)", re.MULTILINE)
FOR_A_SHELL = re.compile(r"[|>]|^export ", re.MULTILINE)
RUN_ON = ("juststorage gc worker", "juststorage serve")
BY_KEY = "/v1/objects/by-key/docs/acme"
KEYS = ("2026/report.pdf", "draft.pdf", "dump.tar", "state.json", "a", "b")
COPY = "final.pdf"  # which an example makes
FOLDERS = ("machine/mnt/backup", "machine/var/lib", "juststorage-data")
BACKUP = "machine/mnt/backup"
SETTINGS = """
data_dir = "juststorage-data"
metadata = { backend = "sqlite" }
[blobs.hot]
backend = "localfs"
[blobs.cold]
backend = "localfs"
[backup.contents]
backend = "localfs"
localfs = { root = "kept/contents", create_root = true }
[backup.manifests]
backend = "localfs"
localfs = { root = "kept/manifests", create_root = true }
"""


@dataclass(frozen=True)
class Place:
    """Where a reader is: a deployment with an object, a key and a backup, and some files."""

    directory: Path
    key_id: str
    backup_id: str

    def before(self, line: str) -> None:
        """Make what a command presupposes and the one before it has used up."""
        if line.startswith("juststorage backup restore"):
            shutil.rmtree(self.directory / "juststorage-data")
            (self.directory / "juststorage-data").mkdir()


def run(*words: str) -> str:
    """A command in this process, which must end with 0; its standard output."""
    done = CliRunner().invoke(juststorage, words, prog_name="juststorage")
    assert done.exit_code == 0, (words, done.exit_code, done.output, done.exception)
    return done.stdout


async def store_one() -> None:
    """An object in the deployment here."""
    stores = {"hot": {"backend": "localfs"}, "cold": {"backend": "localfs"}}
    config = {"data_dir": "juststorage-data", "metadata": {"backend": "sqlite"}, "blobs": stores}
    async with open_runtime(config) as runtime:
        cases = await UseCases.of(runtime)
        who = {"namespace": Namespace("docs"), "tenant_id": TenantId("acme")}
        new = NewObject(id=ObjectId.new(), key=ObjectKey("k"), **who)
        await cases.upload.whole(UploadIntent(new=new), b"of an object")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The place as every example finds it; each has its own copy."""
    here = tmp_path_factory.mktemp("made")
    files = here / "machine/srv/files"
    for folder in (files / "2026", *(here / each for each in FOLDERS)):
        folder.mkdir(parents=True)
    (files / "2026/notes.txt").write_bytes(b"notes")
    for name in ("report.pdf", "new.json"):
        (here / name).write_bytes(b"of a file")
    (here / "juststorage.toml").write_text(SETTINGS)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(here)
        run("migrate", "up", "--config", "juststorage.toml")
        anyio.run(store_one)
        key = ["--name", "k", "--tenant", "acme", "--scope", "objects:read", "--json"]
        told = json.loads(run("keys", "create", "--config", "juststorage.toml", *key))
        words = ["backup", "create", "--config", "juststorage.toml", "--json", BACKUP]
        kept = json.loads(run(*words))
    return Place(here, told["id"], kept["id"])


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A server with the embedded stores."""
    with served("sqlite", request, tmp_path_factory.mktemp("service")) as running:
        yield running


@pytest.fixture(scope="module")
def key(service: Service) -> str:
    """Of somebody with one tenant, who need not name it."""
    scopes = ["objects:read", "objects:write", "objects:delete"]
    asked = {"name": "reader", "tenants": ["acme"], "scopes": scopes}
    json_body = "Content-Type: application/json"
    made = service.ask("POST", "/v1/api-keys", json_body, body=json.dumps(asked).encode())
    assert made.status == 201
    told: str = made.json["key"]
    return told


@pytest.fixture
def place(
    made: Place, service: Service, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Place:
    """A copy of it, as the working directory of somebody who uses the service."""
    here = tmp_path / "place"
    shutil.copytree(made.directory, here)
    (here / "key").write_text(key)
    monkeypatch.chdir(here)
    monkeypatch.setenv("JUSTSTORAGE__SERVER__DRAIN_DELAY_S", "0")
    monkeypatch.setenv("JUSTSTORAGE_KEY_FILE", "key")
    monkeypatch.setenv("JUSTSTORAGE_URL", f"http://127.0.0.1:{service.port}")
    return Place(here, made.key_id, made.backup_id)


def fill(service: Service) -> str:
    """Objects as the examples name them, all archives; the content hash of each."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a-file"))
    for key in KEYS:
        answer = service.ask("PUT", f"{BY_KEY}/{key}", body=packed.getvalue())
        assert answer.status in {200, 201}
    service.ask("DELETE", f"{BY_KEY}/{COPY}")
    found: str = answer.json["content_hash"]
    return found


def documented(example: Block) -> dict[str, str]:
    """The exit codes of the command that an example is of; none where it is of a group."""
    section = PAGE.splitlines(keepends=True)[example.line :]
    found = CODES.search("".join(section).partition("\n## ")[0].partition("\n### ")[0])
    rows = found["codes"].splitlines() if found else []
    return dict(row.removeprefix("- `").split("`: ", 1) for row in rows)


def run_on(line: str) -> None:
    """Start a command that runs on, and end it once it works."""
    process = subprocess.Popen(shlex.split(line), stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        said = []
        for row in process.stderr:
            said.append(row)
            if "collecting;" in row or "listening on" in row:
                break
        process.send_signal(signal.SIGTERM)
        _, rest = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, "".join(said) + rest
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line-{example.line}")
def test_an_example_does_it(
    example: Block, reader: str, place: Place, service: Service, request: pytest.FixtureRequest
) -> None:
    """On what is there for it, with the exit code that stands for success."""
    if "pg_dump" in example.text:
        request.getfixturevalue("database")
    text = at_home(example.text, place.directory, reader)
    for shown, ours in (
        ("https://storage.internal", f"http://127.0.0.1:{service.port}"),
        ("0190163d-8694-739b-aea5-966c26f8ad91", place.key_id),
        ("0190163d", place.backup_id[:8]),
        ("pg_dump db", "pg_dump postgres"),
        ("sha256:1b4f...", fill(service)),
    ):
        text = text.replace(shown, ours)
    if FOR_A_SHELL.search(text):
        follow(f"```sh\n{text}```\n", place.directory)
        return
    for line in text.replace("\\\n", " ").splitlines():
        place.before(line)
        if line.startswith(RUN_ON):
            run_on(line)
        else:
            run(*shlex.split(line)[1:])


def test_every_command_with_exit_codes_has_an_example() -> None:
    """And 0 is among them: it is what all of these end with."""
    told = [codes for example in EXAMPLES if (codes := documented(example))]
    assert len(told) == len(CODES.findall(PAGE)) > 30
    assert all("0" in codes for codes in told)
