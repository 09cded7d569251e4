"""Servers on the embedded default: the harness of the HTTP interface's own tests, once more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import poll, serve

__all__ = ["eventually", "serve"]


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """`eventually(condition, what)`: asks until it holds, and says what did not happen."""
    asks: Callable[[Callable[[], bool], str], None] = poll
    return asks


@pytest.fixture
def operate(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a command as the operator of that machine would."""

    def operated(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", "from juststorage.cli import main; main()", *words],
            cwd=tmp_path,
            env={"PATH": "/usr/bin:/bin", **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    return operated
