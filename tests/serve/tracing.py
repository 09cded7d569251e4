"""The kernel's side of a process: seen, or made to refuse, by strace."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from juststorage.testing import do_without

__all__ = ["straced"]


@contextmanager
def straced(pid: int, *options: str) -> Iterator[None]:
    """Trace all threads of a process meanwhile."""
    if shutil.which("strace") is None:
        do_without("strace", "there is no strace here")
    command = ["strace", "-f", *options, "-p", str(pid)]
    tracing = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert tracing.stderr is not None
    with tracing:
        told = tracing.stderr.readline()
        try:
            if "attached" not in told:
                do_without("strace", f"processes cannot be traced here: {told.strip()}")
            yield
        finally:
            tracing.terminate()
