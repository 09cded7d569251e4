"""scripts/demo, with a small file."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEMO = ROOT / "scripts" / "demonstration"


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demonstration as scripts/demo does once the environment is set up."""
    return subprocess.run(
        [sys.executable, DEMO, *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.parametrize("has_curl", [True, False], ids=["curl", "python"])
def test_it_shows_that_equal_bytes_are_stored_once(tmp_path: Path, has_curl: bool) -> None:
    """It runs to its end, with curl or without, and leaves neither a file nor a process."""
    path = os.environ["PATH"]
    if not has_curl:
        path = str(tmp_path / "bin")
        (tmp_path / "bin").mkdir()
    elif shutil.which("curl") is None:
        pytest.skip("no curl on this machine: the other half of this test covers it")
    (tmp_path / "tmp").mkdir()
    ran = run("--size-mib", "2", TMPDIR=str(tmp_path / "tmp"), PATH=path)
    assert ran.stderr == ""
    assert ran.returncode == 0
    assert ("There is no curl" in ran.stdout) is not has_curl
    assert re.search(r"2 MiB took 2\.\d MiB", ran.stdout)
    took = re.search(r"The second copy took (.*?) of disk", ran.stdout)
    assert took is not None
    assert "MiB" not in took[1]
    assert "exit code 0" in ran.stdout
    assert list((tmp_path / "tmp").iterdir()) == []


def test_commands_can_be_typed(tmp_path: Path) -> None:
    """What it shows is what a shell understands: each command it prints is valid."""
    ran = run("--size-mib", "1", TMPDIR=str(tmp_path))
    shown = ran.stdout.replace("\\\n", "")
    commands = re.findall(r"^   \$ (.*)$", shown, re.MULTILINE)
    assert len(commands) > 12
    for command in commands:
        checked = subprocess.run(["bash", "-n", "-c", command], check=False)
        assert checked.returncode == 0, command


def test_keep_leaves_a_server_that_can_be_used(tmp_path: Path) -> None:
    """With --keep the server goes on, and what is printed stops it."""
    ran = run("--keep", "--size-mib", "1", TMPDIR=str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    pid = int(re.findall(r"\$ kill (\d+)", ran.stdout)[-1])
    try:
        os.kill(pid, 0)
        (place,) = tmp_path.iterdir()
        assert f"rm -r {place}" in ran.stdout
    finally:
        os.kill(pid, signal.SIGTERM)
        wait_gone(pid)


def test_too_little_room_is_told(tmp_path: Path) -> None:
    """A disk that is too small is named, with what can be done."""
    ran = run("--size-mib", "65536", TMPDIR=str(tmp_path))
    if ran.returncode == 0:
        pytest.skip("this machine has 192 GiB free")
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert str(tmp_path) in ran.stderr
    assert "--size-mib" in ran.stderr


def test_a_server_that_does_not_start_is_told(tmp_path: Path) -> None:
    """When the server cannot start, its own words are shown."""
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.exit('no luck today')\n")
    broken = subprocess.run(
        [sys.executable, "-c", BROKEN],
        cwd=DEMO,
        env={**os.environ, "PLACE": str(tmp_path), "BREAK": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "no luck today" in broken.stdout


BROKEN = """
import os, sys
from pathlib import Path
from page import Failure
from server import Server
os.environ["PYTHONPATH"] = os.environ["BREAK"]
place = Path(os.environ["PLACE"])
try:
    Server(place / "data", place / "log").start()
except Failure as failure:
    print(failure)
"""


def test_help() -> None:
    """--help says what it does, before it sets anything up."""
    ran = subprocess.run(
        [ROOT / "scripts" / "demo", "--help"], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0
    assert ran.stdout.startswith("Usage: scripts/demo [--keep] [--size-mib N]")


def wait_gone(pid: int) -> None:
    """Wait until a process that is not our child is gone, or a zombie that nobody collects."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (FileNotFoundError, ProcessLookupError):
            return
    pytest.fail(f"process {pid} does not end")
