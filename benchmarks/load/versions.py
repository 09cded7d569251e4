"""Which versions of other programs and libraries a run was taken with."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

from benchmarks.load.nginx import nginx_program
from benchmarks.load.peer import NAME, peer_program

__all__ = ["filesystem", "versions"]

_LIBRARIES = ("granian", "uvloop", "asyncpg", "litestar", "msgspec")


def versions() -> dict[str, str]:
    """By name: what each of those that are here says of itself."""
    commands: dict[str, tuple[list[str | None], str]] = {
        "wrk": ([shutil.which("wrk"), "-v"], r"wrk (.*?) Copyright"),
        "nginx": ([nginx_program(), "-v"], r"nginx/(.*)"),
        # One that was built from source calls itself a development version.
        NAME: ([shutil.which("go"), "version", "-m", peer_program()], r"\tmod\t\S+\t(\S+)"),
    }
    found = {name: version(name) for name in _LIBRARIES}
    for name, (command, pattern) in commands.items():
        if told := _found(command, pattern):
            found[name] = told
    return found


def _found(command: list[str | None], pattern: str) -> str | None:
    words = [word for word in command if word is not None]
    if len(words) < len(command):
        return None
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    told = re.search(pattern, ran.stdout + ran.stderr)
    return told and told[1]


def filesystem(folder: Path) -> str:
    """The type of that which a folder is on: what is durable on one in memory means nothing."""
    command = ["stat", "--file-system", "--format=%T", folder]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
