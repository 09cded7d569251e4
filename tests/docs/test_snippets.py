"""What the documents name exists: commands with their options, settings, metrics."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from juststorage.cli._main import juststorage
from juststorage.config import schema
from juststorage.metrics import SERVICE_FAMILIES
from juststorage.runtime import PluginHost
from juststorage_api._meters import _FAMILIES
from scripts.follow_tutorial import blocks
from scripts.house_rules import tracked_files

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    path
    for path in tracked_files()
    if path.suffix == ".md" and "changes" not in path.parts and path.parts[:2] != ("docs", "adr")
)
OURS = ("api", "localfs", "objectstore", "postgres", "sqlite")
PACKAGES = {path.name for path in ROOT.glob("packages/*/src/*")} | {"juststorage_version"}
SECTIONS = schema(PluginHost(enabled=OURS).load())
# Those of authors of plugins have commands and settings of plugins that are not here.
CHECKED = [path for path in DOCUMENTS if path.parts[:2] != ("docs", "plugins")]
CHECKED = [path for path in CHECKED if path.parts[0] != "examples"]
# Written like settings: values of the chart, a file, names of spans and of what is in them.
NO_SETTINGS = {
    *("plugins.packages", "plugins.backends"),
    *("metadata.sqlite3", "metadata.objects.commit", "blobs.hot.stage"),
    "server.address",
}
_ASSIGNMENT = re.compile(r"\w+=.*")
_INLINE = re.compile(r"`(juststorage [a-z][^`]*)`")
_METRIC = re.compile(r"`((?:juststorage|http_server)_[a-z_]+)`")
_VARIABLE = re.compile(r"\bJUSTSTORAGE__[A-Z0-9_]+")
_SETTING = re.compile(rf"`((?:{'|'.join(SECTIONS['properties'])})\.[a-z0-9_.*]+)(?: = [^`]*)?`")


def commands(text: str) -> Iterator[list[str]]:
    """The command lines of ours in a document, in blocks for a shell and within sentences."""
    lines = [each for block in blocks(text) if block.word == "sh" for each in _lines(block.text)]
    for line in [*lines, *(" ".join(each.split()) for each in _INLINE.findall(text))]:
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command: list[str] = []
        try:
            found = list(words)
        except ValueError:
            continue  # a quotation that goes on in the next line
        for word in [*found, ";"]:
            if set(word) <= set("();<>|&"):
                if command and Path(command[0]).name == "juststorage":
                    yield command[1:]
                command = []
            elif command or not _ASSIGNMENT.fullmatch(word):
                command.append(word)


def _lines(text: str) -> list[str]:
    return text.replace("\\\n", " ").splitlines()


def unknown(words: list[str]) -> str | None:
    """What in a command line no command of ours has."""
    context = click.Context(juststorage, info_name="juststorage")
    command: click.Command = juststorage
    for word in words:
        if word.startswith("-") and len(word) > 1:
            known = {name for each in command.get_params(context) for name in each.opts}
            if word.partition("=")[0] not in {*known, "-h", "--help"}:
                return f"{word} of {context.command_path}"
        elif isinstance(command, click.Group) and word not in ("...", "COMMAND"):
            inner = command.get_command(context, word)
            if inner is None:
                return f"{word} of {context.command_path}"
            command, context = inner, click.Context(inner, info_name=word, parent=context)
    return None


def has(place: list[str]) -> bool:
    """Whether there is such a section or option; `*` is any."""
    node: Any = SECTIONS
    for name in place:
        properties = node.get("properties", {})
        if name == "*":
            node = next(iter(properties.values()))
        elif name in properties:
            node = properties[name]
        else:
            # The members of a table are the operator's, and those of a secret `file`.
            return "additionalProperties" in node and bool(node["additionalProperties"])
    return True


def unknown_keys(table: dict[str, Any], place: tuple[str, ...] = ()) -> Iterator[str]:
    """The keys of a configuration that are no option."""
    for name, value in table.items():
        here = (*place, name)
        if not has(list(here)):
            yield ".".join(here)
        elif isinstance(value, dict) and set(value) != {"file"}:
            yield from unknown_keys(value, here)


@pytest.mark.parametrize("document", CHECKED, ids=str)
def test_commands_exist_with_their_options(document: Path) -> None:
    """A command or an option that was renamed is found where it is explained."""
    text = (ROOT / document).read_text(encoding="utf-8")
    assert [found for each in commands(text) if (found := unknown(each))] == []


@pytest.mark.parametrize("document", CHECKED, ids=str)
def test_settings_exist(document: Path) -> None:
    """In sentences, as variables, and in blocks of TOML."""
    text = (ROOT / document).read_text(encoding="utf-8")
    named = [each.rstrip(".").split(".") for each in _SETTING.findall(text)]
    named += [
        each.lower().removesuffix("__file").split("__")[1:]
        for each in _VARIABLE.findall(text)
        if not each.endswith("_")
    ]
    assert {".".join(each) for each in named if not has(each)} <= NO_SETTINGS
    tables = [block.text for block in blocks(text) if block.word == "toml"]
    assert [key for each in tables for key in unknown_keys(tomllib.loads(each))] == []


@pytest.mark.parametrize("document", CHECKED, ids=str)
def test_metrics_exist(document: Path) -> None:
    """Those that a document names are among those that the service has."""
    text = (ROOT / document).read_text(encoding="utf-8")
    known = {family.name for family in (*_FAMILIES, *SERVICE_FAMILIES)}
    assert {name for name in _METRIC.findall(text) if name not in PACKAGES} <= known


def test_the_check_finds_what_is_wrong() -> None:
    """Each kind of mistake, once."""
    text = (
        "```sh\nA=1 juststorage gc rnu\njuststorage fsck --dep | cat\n```\n`juststorage objct ls`"
    )
    assert [unknown(each) for each in commands(text)] == [
        "rnu of juststorage gc",
        "--dep of juststorage fsck",
        "objct of juststorage",
    ]
    assert list(unknown_keys({"gc": {"grace": 1, "grace_s": 1}, "sever": {}})) == [
        "gc.grace",
        "sever",
    ]
    assert has(["blobs", "*", "objectstore"])
    assert not has(["gc", "interval"])
