"""What the demonstration looks like: steps, commands, answers, remarks."""

from __future__ import annotations

import json
import os
import sys
import textwrap
from pathlib import Path
from typing import Any

WIDTH = 100


class Failure(Exception):
    """Something is missing or wrong.

    Args:
        what: One sentence.
        advice: What to do about it, a line each.
    """

    def __init__(self, what: str, *advice: str) -> None:
        super().__init__("\n".join([f"demo: {what}", *(f"    {line}" for line in advice)]))


class Page:
    """Standard output, in colour on a terminal that wants it."""

    def __init__(self) -> None:
        self._steps = 0
        self._coloured = sys.stdout.isatty() and "NO_COLOR" not in os.environ

    def headline(self, text: str) -> None:
        """What all of it is about."""
        self._print(self._paint("1", text))

    def step(self, text: str) -> None:
        """Begin a step."""
        self._steps += 1
        self._print(self._paint("1", f"\n{self._steps}. {text}"))

    def command(self, text: str) -> None:
        """A command that a reader could type; continued on further lines where it is long."""
        self._print(self._paint("36", _continued(text)))

    def answer(self, text: str) -> None:
        """What came back."""
        for line in text.splitlines():
            self._print(f"   {line}")

    def text(self, text: str) -> None:
        """Prose, wrapped."""
        indent = "   "
        self._print(
            textwrap.fill(
                text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
            )
        )

    def remark(self, text: str) -> None:
        """What that means."""
        self._print(self._paint("32", textwrap.indent(text, "   ")))

    def disk_usage(self, directory: Path, count: int) -> None:
        """A look at the disk."""
        self.command(f"du -sh {directory}")
        self.answer(f"{size(count)}  {directory}")

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._coloured else text

    def _print(self, text: str) -> None:
        print(text, flush=True)


def _continued(command: str) -> str:
    """A shell command, broken before options where it is too wide."""
    lines, line = [], "   $"
    for part in command.replace(" -", "\0-").split("\0"):
        if len(line) + 1 + len(part) > WIDTH and len(line) > WIDTH // 4:
            lines.append(f"{line} \\")
            line = "      "
        line += f" {part}"
    return "\n".join([*lines, line])


def size(count: float) -> str:
    """A number of bytes, for people."""
    if count < 1024:
        return f"{count:.0f} bytes"
    for unit in ("KiB", "MiB"):
        count /= 1024
        if count < 1024:
            return f"{count:.1f} {unit}".replace(".0 ", " ")
    return f"{count / 1024:.1f} GiB"


def pretty(document: Any) -> str:
    """JSON with a line for each member."""
    members = [f"  {json.dumps(name)}: {json.dumps(value)}" for name, value in document.items()]
    return "{\n" + ",\n".join(members) + "\n}"
