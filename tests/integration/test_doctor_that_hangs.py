"""`juststorage doctor` where something hangs for good: it ends by itself, and says what hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

_MAIN = "from juststorage.cli import main; main()"

_HANGS = """
import os, socket, threading

def for_ever(*_, **__):
    threading.Event().wait()

"""

NAMES = (
    "look_up = socket.getaddrinfo\n"
    "socket.getaddrinfo = lambda host, *more, **how:"
    " (for_ever if 'database' in str(host) else look_up)(host, *more, **how)\n"
)
DISK = "os.fsync = os.fdatasync = for_ever\n"
PLUGINS = "import juststorage.runtime._checkup as ours\nours.make_host = for_ever\n"
BROKEN = "import juststorage.runtime._checkup as ours\nours.make_host = lambda _: 1 / 0\n"


def doctor(
    tmp_path: Path, hangs: str, *words: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    """The real command, in a process where something never returns."""
    run = f"{_HANGS}{hangs}\n{_MAIN}"
    return subprocess.run(
        [sys.executable, "-c", run, "doctor", *words],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def findings(done: subprocess.CompletedProcess[str]) -> dict[str, list[Mapping[str, Any]]]:
    """What it found, by what it looked at."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in json.loads(done.stdout):
        found.setdefault(each["check"], []).append(each)
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A directory with the store of the embedded default."""
    command = [sys.executable, "-c", _MAIN, "migrate", "up"]
    subprocess.run(command, cwd=tmp_path, env={"PATH": os.environ["PATH"]}, check=True)
    return tmp_path


def test_a_name_that_does_not_resolve(stored: Path) -> None:
    """Of the database it says that there is no answer, and of all else what it is."""
    done = doctor(
        stored,
        NAMES,
        "--json",
        JUSTSTORAGE__METADATA__BACKEND="postgres",
        JUSTSTORAGE__METADATA__POSTGRES__URL="postgresql://someone@database.invalid/x",
        JUSTSTORAGE__BLOBS__HOT__BACKEND="localfs",
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = findings(done)
    [silent] = found["metadata"]
    assert silent["state"] == "failed"
    assert silent["found"].startswith("no answer within ")
    assert silent["to_do"] == "see that it runs and can be reached from here"
    assert [each["state"] for each in found["blobs.hot"]] == ["ok"]
    assert found["configuration"][0]["state"] == "ok"
    assert {"blobs.hot/space", "data_dir/space", "open files"} <= found.keys()


def test_a_disk_that_hangs(stored: Path) -> None:
    """Everything on it is told as silent, in people's form as well, and the rest as what it is."""
    done = doctor(stored, DISK)
    assert (done.returncode, done.stderr) == (1, "")
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines()]
    told = {line[1]: (line[0], line[2]) for line in lines if line[:1] in (["ok"], ["failed"])}
    for check in ("metadata", "blobs.hot", "blobs.cold"):
        assert told[check][0] == "failed"
        assert told[check][1].startswith("no answer within ")
    for check in ("configuration", "data_dir/space"):
        assert told[check][0] == "ok"
    assert "3 failed, " in done.stdout


def test_a_file_that_hangs(tmp_path: Path) -> None:
    """The configuration itself: nothing else can be looked at but this process's limits."""
    os.mkfifo(tmp_path / "juststorage.toml")
    done = doctor(tmp_path, "", "--json", "--config", "juststorage.toml")
    found = findings(done)
    assert (done.returncode, done.stderr) == (2, "")
    assert found["configuration"][0]["found"].startswith("no answer within ")
    assert "the file" in found["configuration"][0]["to_do"]
    assert "open files" in found


def test_a_plugin_that_hangs(stored: Path) -> None:
    """It is told which command names the plugin."""
    done = doctor(stored, PLUGINS, "--json")
    found = findings(done)
    assert (done.returncode, done.stderr) == (1, "")
    assert found["plugins"][0]["found"].startswith("no answer within ")
    assert "juststorage plugins" in found["plugins"][0]["to_do"]


def test_a_look_that_breaks(stored: Path) -> None:
    """The error is not lost, and it is a finding."""
    done = doctor(stored, BROKEN, "--json")
    found = findings(done)
    assert done.returncode == 1
    assert "ended by itself" in found["plugins"][0]["found"]
    assert "ZeroDivisionError" in done.stderr
