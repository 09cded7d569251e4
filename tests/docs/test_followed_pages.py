"""The pages that say what to type, followed command by command against a real server."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from juststorage.testing import do_without
from scripts.follow_tutorial import blocks, follow

DOCS = Path(__file__).parents[2] / "docs"
INCIDENTS = sorted(path.stem for path in DOCS.glob("incidents/*.md") if path.stem != "README")
VOLUME_MIB = 160


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


def followed(page: str, directory: Path, port: str) -> None:
    """Follow a page, on this port."""
    text = (DOCS / page).read_text(encoding="utf-8").replace("8080", port)
    follow(text, directory, environment="true")


def test_first_steps(tmp_path: Path, reader: str) -> None:
    """A newcomer can type what it says, and sees what it shows."""
    followed("first-steps.md", tmp_path, reader)


@pytest.mark.parametrize("page", ["README", "upgrade"])
def test_operations_are_done_as_they_say(tmp_path: Path, reader: str, page: str) -> None:
    """On the metadata of a service that has been there before."""
    text = (DOCS / f"operations/{page}.md").read_text(encoding="utf-8")
    assert [each.word for each in blocks(text)].count("sh") == 1
    subprocess.run(["juststorage", "migrate", "up"], cwd=tmp_path, check=True)
    followed(f"operations/{page}.md", tmp_path, reader)


@pytest.mark.parametrize("incident", sorted({*INCIDENTS} - {"disk-full"}))
def test_an_incident_ends_well(tmp_path: Path, reader: str, incident: str) -> None:
    """The loss is made for real, and what the page says mends it."""
    followed(f"incidents/{incident}.md", tmp_path, reader)


def test_a_full_disk_ends_well(tmp_path: Path, reader_of_a_small_volume: str) -> None:
    """On a filesystem of its own, which is really full."""
    followed("incidents/disk-full.md", tmp_path, reader_of_a_small_volume)


@pytest.mark.parametrize("incident", INCIDENTS)
def test_an_incident_shows_what_is_seen(incident: str) -> None:
    """A page without anything to compare would be followed for nothing."""
    found = [each.word for each in blocks((DOCS / f"incidents/{incident}.md").read_text())]
    assert found.count("text") >= 2
