"""Which versions of other programs a run was taken with."""

from __future__ import annotations

import re
import shutil
import subprocess

from benchmarks.load.nginx import nginx_program
from benchmarks.load.peer import NAME, peer_program

__all__ = ["versions"]


def versions() -> dict[str, str]:
    """By name: what each of those that are here says of itself."""
    commands = {
        "wrk": (shutil.which("wrk"), "-v", r"wrk (.*?) Copyright"),
        "nginx": (nginx_program(), "-v", r"nginx/(.*)"),
        NAME: (peer_program(), "--version", r"version (.*)"),
    }
    found = {}
    for name, (program, option, pattern) in commands.items():
        if program is None:
            continue
        ran = subprocess.run([program, option], capture_output=True, text=True, check=False)
        if told := re.search(pattern, ran.stdout + ran.stderr):
            found[name] = told[1]
    return found
