"""The tree of settings: a file, with environment variables laid over it. No types here.

`JUSTSTORAGE__METADATA__SQLITE__PATH=/var/x` is `path` in `[metadata.sqlite]`. Two underscores are
the only separator, so that a name may contain one.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from juststorage.errors import Misconfigured

__all__ = ["PREFIX", "Tree", "from_environment", "from_file", "merged", "variable"]

PREFIX = "JUSTSTORAGE__"

Tree = dict[str, Any]

_SEGMENT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")


def from_file(path: Path) -> Tree:
    """Read a TOML file.

    Raises:
        Misconfigured: It cannot be read, is not TOML, or is deeper than Python can follow.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise Misconfigured(
            f"cannot read the configuration file {str(path)!r}: {error.strerror}"
        ) from None
    except RecursionError:
        raise Misconfigured(f"the configuration file {str(path)!r} is nested too deep") from None
    except ValueError as error:  # of TOML, of UTF-8, or of a number with thousands of digits
        raise Misconfigured(f"the configuration file {str(path)!r} is not TOML: {error}") from None


def from_environment(environment: Mapping[str, str]) -> tuple[Tree, list[str]]:
    """The settings in `JUSTSTORAGE__...` variables, as text. Names are case-insensitive.

    Returns:
        The settings; and a sentence for each variable that is none of them, because its name is
        malformed, its value is not UTF-8, or it contradicts another one.
    """
    tree: Tree = {}
    problems: list[str] = []
    origin: dict[tuple[str, ...], str] = {}
    for name in sorted(environment):
        if not name.upper().startswith(PREFIX):
            continue
        if not _is_text(environment[name]):
            problems.append(f"the environment variable {_shown(name)} is not UTF-8")
            continue
        parts = tuple(name[len(PREFIX) :].lower().split("__"))
        if not all(_SEGMENT.fullmatch(part) for part in parts):
            problems.append(
                f"the environment variable {_shown(name)} names no setting:"
                f" expected {PREFIX}SECTION__OPTION with two underscores between the parts"
            )
            continue
        contradicted = [
            theirs
            for other, theirs in origin.items()
            if other[: len(parts)] == parts or parts[: len(other)] == other
        ]
        if contradicted:
            problems += [
                f"set only one of {theirs} and {name}: they contradict" for theirs in contradicted
            ]
            continue
        origin[parts] = name
        branch = tree
        for part in parts[:-1]:
            branch = branch.setdefault(part, {})
        branch[parts[-1]] = environment[name]
    return tree, problems


def _is_text(value: str) -> bool:
    """Whether it is. Python makes lone surrogates of variables whose bytes are not UTF-8."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _shown(name: str) -> str:
    """A name that can be written anywhere, whatever its bytes are."""
    return name.encode(errors="backslashreplace").decode()


def merged(lower: Mapping[str, Any], upper: Mapping[str, Any]) -> Tree:
    """`lower` with `upper` laid over it: tables are merged, everything else is replaced."""
    result: Tree = dict(lower)
    for key, value in upper.items():
        below = result.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            result[key] = merged(below, value)
        else:
            result[key] = value
    return result


def variable(setting: str) -> str:
    """The environment variable of a dotted setting."""
    return PREFIX + setting.upper().replace(".", "__")
