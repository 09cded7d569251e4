"""What comes along when a package is installed: a list in CycloneDX, and all licences."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from license_expression import (  # type: ignore[import-untyped]
    ExpressionError,
    get_spdx_licensing,
)

from .projects import Project

__all__ = ["ALLOWED", "bill_of_materials", "install", "licences", "not_allowed"]

UV = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))

ALLOWED: Final = frozenset(
    {
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BlueOak-1.0.0",
        "CC0-1.0",
        "CNRI-Python",
        "ISC",
        "MIT",
        "MIT-0",
        "MIT-CMU",
        # Its terms are about its own files, and nobody changes those here.
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    }
)
"""Licences that ask those who install, run and pass on the service for no more than a notice."""

# Classifiers that say which licence it is; that of BSD does not say which of them.
_CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
}
_CLASSIFIER: Final = "License :: OSI Approved :: "

# Their metadata has it in words alone; this is what the licence file of each says.
_READ_BY_HAND: Final = {"protobuf": "BSD-3-Clause", "rich-click": "MIT"}


def install(environment: Path, wheels: Path, *requirements: str, lock: Path) -> None:
    """Make a clean environment, and install into it what a user would.

    Args:
        environment: A folder that does not exist.
        wheels: Where ours are; the rest comes from the index, or from the installer's cache.
        requirements: As given to pip.
        lock: The versions of everything that is not ours.
    """
    _run(UV, "venv", "--quiet", "--python", sys.executable, environment)
    command = (UV, "pip", "install", "--quiet", "--python", environment, "--constraint", lock)
    _run(*command, "--find-links", wheels, *requirements)


def bill_of_materials(
    project: Project, environment: Path, *, time_s: int, validate: bool = True
) -> str:
    """What is installed in `environment`, as CycloneDX in JSON: the same for the same packages.

    Args:
        project: What it was made for.
        environment: As `install` makes it.
        time_s: When, in seconds since 1970.
        validate: Whether it is held against the schema of CycloneDX, which takes a while.
    """
    return _run(
        *(Path(sys.executable).with_name("cyclonedx-py"), "environment"),
        *("--pyproject", project.manifest, "--mc-type", "library"),
        *("--short-PURLs", "--output-reproducible", "--of", "JSON", environment),
        "--validate" if validate else "--no-validate",
        SOURCE_DATE_EPOCH=str(time_s),
    )


def licences(bill: str) -> dict[str, str]:
    """The licence of every package in a bill of materials; what SPDX knows, as SPDX has it."""
    found: dict[str, Any] = json.loads(bill)
    return {
        each["name"]: " AND ".join(sorted(_told(each)))
        for each in sorted(found["components"], key=lambda each: str(each["name"]))
    }


def not_allowed(found: Mapping[str, str]) -> dict[str, str]:
    """Those of `licences` that are not allowed, and those that are not understood."""
    return {name: told for name, told in found.items() if not _is_allowed(told)}


def _told(component: Mapping[str, Any]) -> Iterator[str]:
    """What a package says in its metadata; an expression is the whole answer where there is one."""
    stated = component.get("licenses", [])
    expressions = [each["expression"] for each in stated if "expression" in each]
    if expressions:
        yield from {f"({each})" if " OR " in each else each for each in expressions}
        return
    names = {each["license"].get("id") or each["license"]["name"] for each in stated}
    known = {
        _CLASSIFIERS.get(short, short)
        for each in names
        # Some give the text, and their classifier the name.
        if "\n" not in each and (short := each.removeprefix(_CLASSIFIER)) != "BSD License"
    }
    yield from known or names or {_READ_BY_HAND.get(component["name"], "none")}


def _is_allowed(told: str) -> bool:
    try:
        parsed = get_spdx_licensing().parse(told, validate=True, strict=True)
    except ExpressionError:
        return False
    return parsed is not None and _holds(parsed)


def _holds(node: Any) -> bool:
    operator = getattr(node, "operator", "").strip()
    if operator == "OR":
        return any(map(_holds, node.args))
    if operator == "AND":
        return all(map(_holds, node.args))
    return str(node) in ALLOWED


def _run(*command: str | Path, **environment: str) -> str:
    words = [str(word) for word in command]
    done = subprocess.run(
        words, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:3])}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout
