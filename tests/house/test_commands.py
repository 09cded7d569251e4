"""Every command of the real command line: `--json`, exit codes, and help with examples."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from juststorage.cli import json_option
from juststorage.cli._main import juststorage

Run = Callable[..., Result]

_EXAMPLES = re.compile(r"^ *Examples?:\n +(?:[a-z_]+=\S+ |\w+ .*\| )?juststorage ", re.MULTILINE)
_EXIT_CODES = re.compile(r"Exit codes: 0 .*?[;,]\s+2 ", re.DOTALL)

_NOTHING = "--config=nothing.toml"
_AWAY = "--url=http://127.0.0.1:1"
_ID = "0190163d-8694-739b-aea5-966c26f8ad91"

FAILING = {
    "backup create": [_NOTHING],
    "backup list": [_NOTHING],
    "backup restore": [_NOTHING],
    "backup verify": [_NOTHING],
    "config check": [_NOTHING],
    "config schema": [_NOTHING],
    "config show": [_NOTHING],
    "export": [_AWAY, "docs/acme", "out"],
    "fsck": [_NOTHING],
    "gc run": [_NOTHING],
    "gc status": [_NOTHING],
    "gc worker": [_NOTHING],
    "import": [_AWAY, ".", "docs/acme"],
    "keys create": [_NOTHING, "--name=n", "--all-tenants", "--scope=admin"],
    "keys list": [_NOTHING],
    "keys revoke": [_NOTHING, _ID],
    "keys show": [_NOTHING, _ID],
    "migrate down": [_NOTHING, "base"],
    "migrate sql": [_NOTHING],
    "migrate status": [_NOTHING],
    "migrate up": [_NOTHING],
    "objects cp": [_AWAY, "docs/acme/a", "docs/acme/b"],
    "objects get": [_AWAY, "docs/acme/a", "out"],
    "objects ls": [_AWAY, "docs/acme"],
    "objects put": [_AWAY, "file", "docs/acme/a"],
    "objects rm": [_AWAY, "docs/acme/a"],
    "objects stat": [_AWAY, "docs/acme/a"],
    "plugins": [_NOTHING],
    "plugins check": [_NOTHING],
    "plugins list": [_NOTHING],
    "plugins new": ["hasher", "Not-A-Name"],
    "plugins show": ["nothing"],
    "serve": [_NOTHING],
    "usage": [_AWAY],
}
"""How to make each command fail before it has done anything."""

DONE_BY_THEN = {
    "export": ["counts"],
    "import": ["counts"],
    "keys revoke": ["revoked"],
    "objects rm": ["deleted", "missing"],
}
"""What the document of a failure says besides, of commands that may have done a part."""

AWAY = {
    "DATA_DIR": ".",
    "METADATA__BACKEND": "postgres",
    "METADATA__POSTGRES__URL": "postgresql://u:p@127.0.0.1:1/x",
    "METADATA__POSTGRES__CONNECT_WAIT_S": "0.1",
    "BLOBS__HOT__BACKEND": "localfs",
    "BLOBS__HOT__LOCALFS__ROOT": ".",
}
"""Settings of a service whose database does not answer."""

OPENING: dict[str, list[str]] = {
    "backup create": ["."],
    "backup restore": ["."],
    "config check": ["--open"],
    "doctor": [],
    "fsck": [],
    "gc run": [],
    "gc status": [],
    "keys create": ["--name=n", "--all-tenants", "--scope=admin"],
    "keys list": [],
    "keys revoke": [_ID],
    "keys show": [_ID],
    "migrate down": ["base", "--yes"],
    "migrate status": [],
    "migrate up": [],
}
"""Commands that open the metadata store, and how."""

REPORTING = {"doctor": "what is wrong is what it prints"}
"""Commands whose own document says what is wrong."""


def commands() -> Iterator[tuple[str, click.Command]]:
    """What can be called, by its words; groups that only have members are not."""
    waiting: list[tuple[str, click.Command, click.Context]] = [
        ("", juststorage, click.Context(juststorage, info_name="juststorage"))
    ]
    while waiting:
        words, command, context = waiting.pop()
        if not isinstance(command, click.Group) or command.invoke_without_command:
            yield words, command
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                inner = command.get_command(context, name)
                assert inner is not None, name
                named = f"{words} {name}".strip()
                waiting.append((named, inner, click.Context(inner, parent=context, info_name=name)))


ALL = dict(sorted(commands()))


def lacks(words: str, command: click.Command) -> list[str]:
    """What a command should have and has not."""
    result = CliRunner().invoke(command, ["--help"], prog_name=f"juststorage {words}")
    assert result.exit_code == 0, result.output
    found = []
    if not _EXAMPLES.search(result.output):
        found.append("a section of examples")
    if not _EXIT_CODES.search(result.output):
        found.append("its exit codes, with 0 and 2")
    options = {option for each in command.params for option in each.opts}
    if "--json" not in options:
        found.append("--json")
    return found


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a directory with one file, without anyone's settings."""
    for name in list(os.environ):
        if name.upper().startswith("JUSTSTORAGE"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("file").write_bytes(b"content")

    def invoke(words: str, *more: str) -> Result:
        return CliRunner().invoke(juststorage, [*words.split(), *more])

    return invoke


@pytest.mark.parametrize("words", ALL)
def test_every_command_is_whole(words: str) -> None:
    """A command that is added has all three."""
    assert lacks(words, ALL[words]) == []


def test_all_parts_of_the_house_are_looked_at() -> None:
    """Those that run on as well."""
    assert {"gc worker", "serve", "objects put", "backup create", "plugins"} <= ALL.keys()


_EPILOG = "\b\nExample:\n  juststorage go\n\n\b\nExit codes: 0 done; 2 wrong usage."


@pytest.mark.parametrize(
    ("epilog", "with_json", "lacking"),
    [
        (_EPILOG, True, []),
        (_EPILOG, False, ["--json"]),
        (_EPILOG.replace("Example", "See"), True, ["a section of examples"]),
        (_EPILOG.replace("juststorage go", "go"), True, ["a section of examples"]),
        (_EPILOG.replace("Exit", "Some"), True, ["its exit codes, with 0 and 2"]),
        (_EPILOG.replace("2 wrong", "and wrong"), True, ["its exit codes, with 0 and 2"]),
        (None, False, ["a section of examples", "its exit codes, with 0 and 2", "--json"]),
    ],
)
def test_what_a_new_command_lacks_is_found(
    epilog: str | None, with_json: bool, lacking: list[str]
) -> None:
    """Each of the three by itself."""

    def go(**_: bool) -> None:
        """Go."""

    command = click.command(name="go", epilog=epilog)(json_option()(go) if with_json else go)
    assert lacks("go", command) == lacking


def test_every_command_with_json_can_fail_here() -> None:
    """A new one is given a way to."""
    assert FAILING.keys() | REPORTING.keys() == ALL.keys()


@pytest.mark.parametrize("words", FAILING)
def test_a_failure_is_one_document_with_a_stable_code(run: Run, words: str) -> None:
    """On standard output; people's sentence is on standard error, as without --json.

    Of the commands that run on, it is a line of their log.
    """
    plain = run(words, *FAILING[words])
    result = run(words, *FAILING[words], "--json")
    assert plain.exit_code == result.exit_code != 0
    assert told(words, plain) == told(words, result) != []
    document = json.loads(result.stdout)
    assert document.keys() == {"error", *DONE_BY_THEN.get(words, [])}
    error = document["error"]
    is_away = _AWAY in FAILING[words]
    assert error["code"] == ("unavailable" if is_away else "misconfigured")
    assert result.exit_code == (4 if is_away else 2)
    assert error.keys() == {"code", "detail", "problems"}
    assert told(words, result) == error["problems"]


def told(words: str, result: Result) -> list[str]:
    """What a command that failed said on standard error."""
    lines = result.stderr.splitlines()
    if words in {"gc worker", "serve"}:
        return [json.loads(line)["message"] for line in lines]
    assert all(line.startswith("juststorage: ") for line in lines)
    return [line.removeprefix("juststorage: ") for line in lines]


@pytest.mark.parametrize("words", OPENING)
def test_a_database_that_is_away_ends_with_a_code_that_the_help_has(
    run: Run, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    """Scripts decide by it."""
    for name, value in AWAY.items():
        monkeypatch.setenv(f"JUSTSTORAGE__{name}", value)
    code = run(words, *OPENING[words]).exit_code
    told = run(words, "--help").output.partition("Exit codes:")[2]
    assert code != 0
    assert str(code) in re.findall(r"(?:^|[;,])\s+(\d) ", told)


@pytest.mark.parametrize("words", [*FAILING, *REPORTING])
def test_wrong_usage_is_one_document(run: Run, words: str) -> None:
    """Told before anything of the command ran, so by no code of its own."""
    result = run(words, "--json", "--no-such-option")
    assert (result.exit_code, result.stdout.count("\n")) == (2, 1)
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "wrong_usage"
    assert "--no-such-option" in error["detail"]
    assert error["detail"] in result.stderr
