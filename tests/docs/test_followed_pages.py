"""The pages that say what to type, followed command by command against a real server."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from juststorage.testing import do_without
from juststorage_postgres.testing import LocalServer, own_server
from scripts.follow_tutorial import blocks, follow
from tests.tracing.receiver import receiving

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
INCIDENTS = sorted(path.stem for path in DOCS.glob("incidents/*.md") if path.stem != "README")
VOLUME_MIB = 160
PLAIN = [
    "README.md",
    "docs/backup.md",
    "docs/first-steps.md",
    "docs/incidents/README.md",
    "docs/plugins/README.md",
    "packages/juststorage-core/README.md",
    "packages/juststorage-localfs/README.md",
    "packages/juststorage-objectstore/README.md",
    "packages/juststorage-sqlite/README.md",
]
FOLLOWED = {
    *PLAIN,
    *(f"docs/incidents/{incident}.md" for incident in INCIDENTS),
    *("docs/operations/README.md", "docs/operations/upgrade.md"),
    *("deploy/README.md", "docs/migrations.md", "docs/tracing.md"),
    *("packages/juststorage-api/README.md", "packages/juststorage-postgres/README.md"),
    "docs/plugins/tutorial.md",  # by tests/house/test_plugin_tutorial.py
}
SECRET = re.compile(r"/run/secrets/([\w/-]+)")


@pytest.fixture
def reader(monkeypatch: pytest.MonkeyPatch) -> str:
    """An environment with our commands and nothing else of ours; and a free port."""
    for name in os.environ:
        if name.startswith(("COV", "JUSTSTORAGE", "PYTEST")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("JUSTSTORAGE__SERVER__WORKERS", "1")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    monkeypatch.setenv("JUSTSTORAGE__SERVER__PORT", port)
    return port


@pytest.fixture
def reader_of_a_small_volume(
    reader: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """As `reader`, with a small filesystem for the data in the directory."""
    folder = tmp_path / "volume"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MIB}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0:
        do_without("mount", f"no filesystem can be mounted here: {mounted.stderr.strip()}")
    monkeypatch.setenv("JUSTSTORAGE__DATA_DIR", str(folder / "data"))
    try:
        yield reader
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A PostgreSQL server with nothing in it, which its own tools and ours find."""
    with own_server() as server:
        monkeypatch.setenv("PATH", f"{os.environ['PATH']}:{server.binaries}")
        monkeypatch.setenv("PGHOST", str(server.root))
        monkeypatch.setenv("PGUSER", "postgres")
        monkeypatch.setenv("DATABASE_URL", server.url("juststorage"))
        yield server


def at_home(text: str, directory: Path, port: str) -> str:
    """A text with our port, and with places that belong to the test alone."""
    home = rf"{directory}/machine\g<0>"
    return re.sub(r"(?<![\w.$])/(?:mnt|srv|run/secrets|var/lib)\b", home, text).replace(
        "8080", port
    )


def followed(page: str, directory: Path, port: str, replaced: dict[str, str] | None = None) -> None:
    """Follow a page, on this port and in this directory."""
    text = (ROOT / page).read_text(encoding="utf-8")
    for place, ours in (replaced or {}).items():
        assert place in text
        text = text.replace(place, ours)
    follow(at_home(text, directory, port), directory, environment="true")


@pytest.mark.parametrize("page", PLAIN)
def test_what_a_page_says_is_so(tmp_path: Path, reader: str, page: str) -> None:
    """Its commands do what it says, and its configurations are accepted."""
    secrets = tmp_path / "machine/run/secrets"
    for name in sorted({*SECRET.findall((ROOT / page).read_text(encoding="utf-8"))}):
        (secrets / name).parent.mkdir(parents=True, exist_ok=True)
        (secrets / name).write_text("the-secret-of-these-tests\n")
    followed(page, tmp_path, reader)


def test_the_interface(tmp_path: Path, reader: str) -> None:
    """As its README has it: calls, keys, the command line, other servers, tests of applications."""
    page = "packages/juststorage-api/README.md"
    followed(page, tmp_path, reader, {"https://storage.internal": "http://127.0.0.1:8080"})


def test_a_deployment(
    tmp_path: Path, reader: str, database: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the very file in `deploy`, on PostgreSQL; Prometheus takes what it is given."""
    if shutil.which("promtool") is None:
        do_without("promtool", "promtool is missing: install Debian's package prometheus")
    settings = (ROOT / "deploy/juststorage.toml").read_text()
    (tmp_path / "juststorage.toml").write_text(at_home(settings, tmp_path, reader))
    monkeypatch.setenv("JUSTSTORAGE__SERVER__DRAIN_DELAY_S", "0")
    followed("deploy/README.md", tmp_path, reader)


def test_metadata_in_postgresql(
    tmp_path: Path, reader: str, database: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an empty server to one that serves, and as its README helps tests."""
    monkeypatch.setenv("JUSTSTORAGE__BLOBS__HOT__BACKEND", "localfs")
    followed("packages/juststorage-postgres/README.md", tmp_path, reader)


def test_migrations(
    tmp_path: Path, reader: str, database: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Up, and back."""
    monkeypatch.setenv("JUSTSTORAGE__BLOBS__HOT__BACKEND", "localfs")
    monkeypatch.setenv("JUSTSTORAGE__METADATA__BACKEND", "postgres")
    monkeypatch.setenv("JUSTSTORAGE__METADATA__POSTGRES__URL", database.url())
    followed("docs/migrations.md", tmp_path, reader)


def test_traces(tmp_path: Path, reader: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A receiver is sent the spans of a request, with the header field that it asks for."""
    monkeypatch.setenv("JUSTSTORAGE__METADATA__BACKEND", "sqlite")
    monkeypatch.setenv("JUSTSTORAGE__BLOBS__HOT__BACKEND", "localfs")
    with receiving() as receiver:
        ours = {"http://collector:4318/v1/traces": receiver.url}
        followed("docs/tracing.md", tmp_path, reader, ours)
        assert receiver.named("GET /v1/objects")
        assert {each["authorization"] for each in receiver.headers} == {"Bearer of-these-tests"}


@pytest.mark.parametrize("page", ["README", "upgrade"])
def test_operations_are_done_as_they_say(tmp_path: Path, reader: str, page: str) -> None:
    """On the metadata of a service that has been there before."""
    text = (DOCS / f"operations/{page}.md").read_text(encoding="utf-8")
    assert [each.word for each in blocks(text)].count("sh") == 1
    subprocess.run(["juststorage", "migrate", "up"], cwd=tmp_path, check=True)
    followed(f"docs/operations/{page}.md", tmp_path, reader)


@pytest.mark.parametrize("incident", sorted({*INCIDENTS} - {"disk-full"}))
def test_an_incident_ends_well(tmp_path: Path, reader: str, incident: str) -> None:
    """The loss is made for real, and what the page says mends it."""
    followed(f"docs/incidents/{incident}.md", tmp_path, reader)


def test_a_full_disk_ends_well(tmp_path: Path, reader_of_a_small_volume: str) -> None:
    """On a filesystem of its own, which is really full."""
    followed("docs/incidents/disk-full.md", tmp_path, reader_of_a_small_volume)


@pytest.mark.parametrize("incident", INCIDENTS)
def test_an_incident_shows_what_is_seen(incident: str) -> None:
    """A page without anything to compare would be followed for nothing."""
    found = [each.word for each in blocks((DOCS / f"incidents/{incident}.md").read_text())]
    assert found.count("text") >= 2
