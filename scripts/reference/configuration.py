"""The page about every option, from the structs that read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tables import bounds, cell, code, head, table, type_words

from juststorage.config import schema
from juststorage.runtime import PluginHost

__all__ = ["OURS", "page"]

OURS = ("api", "localfs", "objectstore", "postgres", "sqlite")

# The last part of an option's name is its unit: (suffix, words), the longer one first.
_UNITS = (
    ("_bytes_s", "bytes per second"),
    ("_blobs_s", "blobs per second"),
    ("_s", "seconds"),
    ("_bytes", "bytes"),
    ("_ratio", "share of 1"),
    ("_percent", "percent"),
)
_ABOUT = """\
Every option of JustStorage and of the plugins that come with it. `juststorage config show` prints
those in effect, `juststorage config check` says what is wrong with yours, and
`juststorage plugins show NAME` describes those of any other plugin.

Options are read from a TOML file, which `--config` or the variable `JUSTSTORAGE_CONFIG` names, and
from environment variables, which win over the file. A variable spells the option's place in
capitals, with two underscores between the parts: it stands below each option's meaning. Lists are
JSON in a variable, or words with commas between them. What is unknown, of a wrong type or out of
bounds is an error at the start, all mistakes at once.

A **secret** is given as text, or as `{ file = "PATH" }`, whose content is taken; the variable of
the latter ends in `__FILE`. It is never shown again.

Without a file, and without a variable for `metadata` or `blobs`, the embedded default is used:
metadata in `sqlite`, both storage classes in `localfs`, everything below `data_dir`."""


def page() -> str:
    """The whole page."""
    described = schema(PluginHost(enabled=OURS).load())
    top = {name: each for name, each in described["properties"].items() if not _is_table(each)}
    parts = [
        head("Configuration", written_by="the structs of options"),
        _ABOUT,
        "## At the top",
        _options(top, (), described.get("required", [])),
    ]
    for name, section in described["properties"].items():
        if _is_table(section):
            parts += _section((name,), section)
    return "\n\n".join(parts) + "\n"


def _is_table(described: dict[str, Any]) -> bool:
    return described.get("type") == "object" and "properties" in described


def _section(place: tuple[str, ...], described: dict[str, Any]) -> Iterator[str]:
    """A section, then the tables in it."""
    if place[:2] == ("blobs", "cold") and len(place) == 3:
        return  # said with those of `hot`
    dotted = ".".join(place)
    inner = {name: each for name, each in described["properties"].items() if _is_table(each)}
    own = {name: each for name, each in described["properties"].items() if name not in inner}
    yield f"{'#' * min(len(place) + 1, 4)} `[{dotted}]`"
    about = described.get("description", "").rstrip(".")
    also = dotted.replace("hot", "cold") if len(place) == 3 and "hot" in place else ""
    yield f"{about}.{f' Likewise `[{also}]`.' if also else ''}"
    if own:
        yield _options(own, place, described.get("required", []))
    elif not inner:
        yield "It has no options."
    for name, each in inner.items():
        yield from _section((*place, name), each)


def _options(options: dict[str, Any], place: tuple[str, ...], required: list[str]) -> str:
    rows = []
    for name, described in options.items():
        limits = [type_words(described), _unit(name, described), bounds(described)]
        if name in required:
            default = "**required**"
        else:
            value = described.get("default")
            default = "not set" if value is None else code(value)
        variable = "JUSTSTORAGE__" + "__".join((*place, name)).upper()
        meaning = cell(described.get("description", ""))
        rows.append(
            [
                f"`{name}`",
                cell(", ".join(each for each in limits if each)),
                cell(default),
                f"{meaning}<br>`{variable}`",
            ]
        )
    return table(["option", "type", "default", "meaning, variable"], rows)


def _unit(name: str, described: dict[str, Any]) -> str:
    if described.get("type") not in ("integer", "number"):
        return ""
    return next((words for suffix, words in _UNITS if name.endswith(suffix)), "")
