"""`juststorage plugins new`: a complete package for a plugin, from templates.

The templates are files beside this module: `_templates/common`, and one directory for each kind
that is laid over it. `$word` is filled in, `__package__` and `dot_` in names too. A file of a kind
whose name begins with an underscore is a part of the README.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template

from juststorage import __version__
from juststorage.errors import Misconfigured

__all__ = ["KINDS", "TAKEN", "core_range", "write_package"]

_TEMPLATES = Path(__file__).with_name("_templates")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
TAKEN = frozenset(
    {"core", "api", "memory", "sqlite", "postgres", "localfs", "objectstore"}
    | {"sha256", "age", "min_free", "api_key", "jwt", "anonymous", "trusted_header"}
)
"""Plugins and backends of JustStorage's packages. Installed beside one of them, another plugin of
its name is refused, which its author would learn from a user."""

KINDS: Mapping[str, str] = {
    "authenticator": "Bearers of a shared token",
    "blob_store": "Bytes in files of a directory",
    "command": "Counts the objects of each state",
    "gc_policy": "Keeps small garbage for a while",
    "hasher": "BLAKE2b with 32 bytes",
    "metadata_store": "Metadata in memory, to be replaced part by part",
}
"""Each kind, and what its template does: the summary of the plugin until its author changes it."""


def core_range(version: str = __version__) -> str:
    """The versions of core that keep the promises of this one.

    From 1.0 on a new major version may break plugins; before it, a new minor one.
    """
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{f'0.{minor + 1}' if major == 0 else major + 1}"


def write_package(kind: str, name: str, directory: Path) -> list[Path]:
    """Write the package into `directory`, which is made and must not exist or be empty.

    Returns:
        The files, relative to the directory.

    Raises:
        Misconfigured: The name cannot be that of a plugin, or the directory is in use.
    """
    if reason := _refusal(kind, name):
        raise Misconfigured(f"{name!r} cannot be the name of a plugin: {reason}")
    try:
        if directory.exists() and any(directory.iterdir()):
            raise Misconfigured(f"{directory} is not empty; choose another --directory")
        words = _words(kind, name)
        files = sorted(_files(kind), key=lambda it: str(it[0]))
        for relative, template in files:
            path = directory / _filled(str(relative), words)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(template.substitute(words), encoding="utf-8")
    except OSError as error:
        raise Misconfigured(f"{directory} cannot be written: {error.strerror}") from error
    return [Path(_filled(str(relative), words)) for relative, _ in files]


def _refusal(kind: str, name: str) -> str | None:
    """Why a plugin cannot be called so; None where it can."""
    from juststorage.plugins._records import RESERVED_COMMANDS

    if not _NAME.fullmatch(name):
        return (
            "it needs lower-case letters, digits and underscores, a letter first, so that"
            " environment variables can spell it"
        )
    if keyword.iskeyword(name):
        return "it is a word of Python's own"
    if name in TAKEN:
        return "JustStorage has one of that name, and two of a name are refused"
    if kind == "command" and name.replace("_", "-") in RESERVED_COMMANDS:
        return f"`juststorage {name.replace('_', '-')}` is a command of JustStorage's own"
    return None


def _words(kind: str, name: str) -> dict[str, str]:
    from juststorage.plugins._records import KIND_WORDS

    requires = [f"juststorage-core{core_range()}"]
    if kind == "command":
        requires.append("click>=8.1")
    words = {
        "command": name.replace("_", "-"),
        "constant": name.upper(),
        "dependencies": ", ".join(f'"{each}"' for each in requires),
        "distribution": f"juststorage-{name.replace('_', '-')}",
        "kind": kind,
        "kind_words": KIND_WORDS[kind],
        "name": name,
        "package": f"juststorage_{name}",
        "prefix": "".join(part.capitalize() for part in name.split("_")),
        "summary": KINDS[kind],
    }
    usage = Template((_TEMPLATES / kind / "_usage.md.tmpl").read_text(encoding="utf-8"))
    return {**words, "usage": usage.substitute(words).rstrip("\n")}


def _files(kind: str) -> Iterator[tuple[Path, Template]]:
    for root in (_TEMPLATES / "common", _TEMPLATES / kind):
        for path in root.rglob("*.tmpl"):
            relative = path.relative_to(root).with_suffix("")
            if not str(relative).startswith("_usage"):
                yield relative, Template(path.read_text(encoding="utf-8"))


def _filled(relative: str, words: Mapping[str, str]) -> str:
    return relative.replace("__package__", words["package"]).replace("dot_", ".")
