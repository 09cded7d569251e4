"""Write the pages of the reference: `python scripts/reference/write_reference.py DIRECTORY`."""

from __future__ import annotations

import sys
from pathlib import Path

import calls
import commands
import configuration

PAGES = {"commands": commands.page, "configuration": configuration.page, "http": calls.page}


def write(directory: Path) -> None:
    """Write all of them."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (directory / f"{name}.md").write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
