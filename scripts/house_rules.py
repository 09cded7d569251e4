"""The rules of this house that no other tool checks. Exits 1 and lists every breach.

Lengths: a module has 400 lines at most (or a docstring with the words "Longer than" and a reason),
a function 70. Versions: `__version__` is the version of its pyproject.toml. Portability: no file
names a package registry's host, which would break installs from a mirror, or a path of one machine.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70

# Written in pieces, so that this file passes its own check.
NOT_PORTABLE = re.compile(
    "|".join(
        [
            r"py" r"pi\.org",
            r"python" r"hosted\.org",
            r"registry\.npm" r"js\.org",
            r"crates" r"\.io",
            r"proxy\.golang" r"\.org",
            r"/wo" r"rk/",
            r"/ho" r"me/\w+/",
            r"/ro" r"ot/",
            r"/Us" r"ers/\w+/",
        ]
    )
)


def tracked_files() -> list[Path]:
    """Every file that git tracks or would track."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listing.split("\0") if name and (path := Path(name)).is_file()]


def too_long(path: Path, text: str) -> Iterator[str]:
    """The module and each of its functions against their limits."""
    tree = ast.parse(text)
    lines = len(text.splitlines())
    if lines > MODULE_LINES_MAX and "Longer than" not in (ast.get_docstring(tree) or ""):
        yield f"{path}: {lines} lines, {MODULE_LINES_MAX} at most"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            if length > FUNCTION_LINES_MAX:
                yield (
                    f"{path}:{node.lineno}: {node.name} has {length} lines,"
                    f" {FUNCTION_LINES_MAX} at most"
                )


def not_portable(path: Path, text: str) -> Iterator[str]:
    """Lines that hold only on one machine or behind one registry."""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := NOT_PORTABLE.search(line):
            yield f"{path}:{number}: names {match[0]!r}, which holds only on some machines"


def wrong_version(project_file: Path) -> Iterator[str]:
    """A package whose code and metadata disagree about its version."""
    version = tomllib.loads(project_file.read_text())["project"]["version"]
    for package in (project_file.parent / "src").glob("*/__init__.py"):
        if f'__version__ = "{version}"' not in package.read_text():
            yield f"{package}: __version__ is not {version}, the version in {project_file}"


def breaches() -> Iterator[str]:
    """Every breach of every rule."""
    for path in tracked_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # not text
        yield from not_portable(path, text)
        if path.suffix == ".py" and "src" in path.parts:
            yield from too_long(path, text)
    for project_file in Path("packages").glob("*/pyproject.toml"):
        yield from wrong_version(project_file)


if __name__ == "__main__":
    found = list(breaches())
    print("\n".join(found) or "no breach")
    sys.exit(bool(found))
