"""The Dockerfile, read."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

__all__ = ["DOCKERFILE", "instructions", "variables"]

DOCKERFILE = Path(__file__).parents[2] / "deploy" / "Dockerfile"


def instructions(stage: int) -> Iterator[tuple[str, str]]:
    """The instructions of one stage, continued lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE)
    lines = text.replace("\\\n", " ").splitlines()
    current = -1
    for line in filter(None, lines):
        name, _, rest = line.partition(" ")
        current += name == "FROM"
        if current == stage:
            yield name, rest


def variables() -> dict[str, str]:
    """What the image sets in the environment of every process, `$PATH` not expanded."""
    words = [word for name, rest in instructions(1) if name == "ENV" for word in shlex.split(rest)]
    return dict(word.split("=", 1) for word in words)
