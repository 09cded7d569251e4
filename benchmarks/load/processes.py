"""What processes take: those of a server, whoever made it, and all that it started."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

__all__ = ["cpu_s", "family", "forget_peak", "rss_mib"]

_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    found, queue = [], [pid]
    while queue:
        pid = queue.pop()
        found.append(pid)
        with suppress(OSError):  # it has ended meanwhile
            for task in Path(f"/proc/{pid}/task").iterdir():
                queue += [int(child) for child in (task / "children").read_text().split()]
    return found


def cpu_s(pid: int) -> float:
    """Processor seconds of a family so far, user and system; of those that have ended, too."""
    total = 0
    for member in family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(field) for field in fields[11:15])
    return total / _TICKS


def rss_mib(pid: int, what: str = "VmRSS") -> float:
    """Resident memory of its largest member now (VmRSS), or at its peak (VmHWM), MiB."""
    sizes = []
    for member in family(pid):
        with suppress(OSError):
            status = Path(f"/proc/{member}/status").read_text()
            sizes += [int(kib) for kib in re.findall(rf"{what}:\s+(\d+) kB", status)]
    return max(sizes) / 1024


def forget_peak(pid: int) -> None:
    """Let the peaks of a family start from what is resident now."""
    for member in family(pid):
        Path(f"/proc/{member}/clear_refs").write_text("5")
