"""The command line: what it prints, how it ends, and that nothing breaks its help."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result

from juststorage import __version__
from juststorage.cli import _main as cli
from juststorage.plugins._records import RESERVED_COMMANDS

Run = Callable[..., Result]
COMMAND = """
from juststorage.plugins import *

@hookimpl
def juststorage_commands():
    yield Command(name={name!r}, summary="Does it", target={target!r})
"""


def tree(command: click.Command, path: tuple[str, ...]) -> dict[tuple[str, ...], click.Command]:
    """Every command of core's from this one on, groups included."""
    found = {path: command}
    if isinstance(command, click.Group):
        context = click.Context(command)
        names = command.list_commands(context)
        for name in names if path else sorted(cli._OWN.keys() & set(names)):
            inner = command.get_command(context, name)
            assert inner is not None
            found |= tree(inner, (*path, name))
    return found


class TestHelp:
    def test_every_command_has_help_with_an_example_and_exit_codes(self, run: Run) -> None:
        """--help of each command shows an example; those that do something say how they end."""
        commands = tree(cli.juststorage, ())
        assert ("plugins", "show") in commands
        for path, command in commands.items():
            result = run(*path, "--help")
            assert result.exit_code == 0
            assert "Example" in result.output, path
            assert "Exit codes" in result.output or isinstance(command, click.Group), path

    def test_plugin_s_command_is_listed_without_its_import(self, run: Run, target: Any) -> None:
        """--help names plugin commands by what their descriptors say."""
        target.add("acme", {"tool": COMMAND.format(name="go", target="acme_target_module:go")})
        result = run("--help")
        assert "go       Does it" in result.output
        assert "acme_target_module" not in sys.modules

    @pytest.mark.parametrize(
        "source",
        [
            "import no_such_driver",
            COMMAND.format(name="go", target="no_such_module:go"),
            COMMAND.format(name="plugins", target="no_such_module:go"),
            "raise SystemExit(9)",
        ],
    )
    def test_broken_plugin_does_not_break_help(self, run: Run, site: Any, source: str) -> None:
        """Whatever a plugin does wrong, --help works."""
        site.add("acme", {"tool": source})
        result = run("--help")
        assert result.exit_code == 0
        assert "List plugins, and what is wrong with them" in result.output

    def test_wrong_configuration_does_not_break_help(self, run: Run) -> None:
        """With a gate that cannot be read no plugin is imported, and help says why."""
        result = run("--help", JUSTSTORAGE_CONFIG="none.toml")
        assert result.exit_code == 0
        assert "Commands of plugins are not shown: cannot read the configuration" in result.output

    def test_version(self, run: Run) -> None:
        """--version prints name and version."""
        assert run("--version").output == f"juststorage {__version__}\n"

    def test_core_s_commands_are_reserved(self) -> None:
        """No plugin can take the name of a command of core's."""
        assert set(cli._OWN) <= RESERVED_COMMANDS


class TestPluginCommands:
    @pytest.mark.parametrize("attribute", ["go", "Box.go"])
    def test_command_runs_with_its_configuration(
        self, run: Run, target: Any, file: str, attribute: str
    ) -> None:
        """A plugin's command is a subcommand like any, with the shared options."""
        command = COMMAND.format(name="go", target=f"acme_target_module:{attribute}")
        target.add("acme", {"tool": command})
        assert run("go", "--config", file).output == f"went with {file}\n"

    def test_configuration_of_the_command_line_gates_its_commands(
        self, run: Run, target: Any, tmp_path: Path
    ) -> None:
        """A plugin that --config disables is not imported, its command does not exist."""
        target.add("acme", {"tool": COMMAND.format(name="go", target="acme_target_module:go")})
        path = tmp_path / "gate.toml"
        path.write_text("[plugins]\ndisabled = ['tool']\n")
        for args in (["go", "--config", str(path)], ["go", f"--config={path}"]):
            result = run(*args)
            assert result.exit_code == 2
            assert "No such command 'go'." in result.stderr
            assert "tool (disabled: in plugins.disabled)" in result.stderr
        assert "acme_tool_module" not in sys.modules

    @pytest.mark.parametrize(
        ("name", "reason"),
        [
            ("no_such_module:go", "ModuleNotFoundError: No module named 'no_such_module'"),
            (
                "acme_target_module:gone",
                "AttributeError: module 'acme_target_module' has no attribute 'gone'",
            ),
            (
                "acme_target_module:not_one",
                "TypeError: acme_target_module:not_one is not a click.Command",
            ),
        ],
    )
    def test_command_that_cannot_be_loaded_is_one_line(
        self, run: Run, target: Any, name: str, reason: str
    ) -> None:
        """A broken target fails when it is used, with the plugin named, and exit code 2."""
        target.add("acme", {"tool": COMMAND.format(name="go", target=name)})
        result = run("go")
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr == (
            f"juststorage: the command 'go' of plugin tool of acme 1.0 cannot be loaded: {reason}\n"
        )

    def test_missing_command_names_unusable_plugins(self, run: Run, site: Any) -> None:
        """The real cause of a missing command is usually a plugin that does not work."""
        site.add("acme", {"tool": "import no_such_driver"})
        result = run("go")
        assert result.exit_code == 2
        assert "No such command 'go'. Plugins that are not usable: tool (failed:" in result.stderr

    def test_missing_command_with_sound_plugins_is_plain(self, run: Run) -> None:
        """With nothing broken there is nothing to add."""
        result = run("go")
        assert result.exit_code == 2
        assert result.stderr.endswith("Error: No such command 'go'.\n")

    def test_failure_is_one_line_and_exit_code_1(self, run: Run, target: Any) -> None:
        """An error of ours that is not about configuration ends with 1 and one line."""
        target.add("acme", {"tool": COMMAND.format(name="go", target="acme_target_module:fail")})
        result = run("go")
        assert (result.exit_code, result.stderr) == (1, "juststorage: the volume is gone\n")

    def test_failure_is_a_document_where_json_is_asked_for(self, run: Run, target: Any) -> None:
        """Also of a plugin's command: it does nothing for that but take the option."""
        target.add("acme", {"tool": COMMAND.format(name="go", target="acme_target_module:fail")})
        result = run("go", "--json")
        assert (result.exit_code, result.stderr) == (1, "juststorage: the volume is gone\n")
        assert json.loads(result.stdout)["error"] == {
            "code": "unavailable",
            "detail": "the volume is gone",
            "problems": ["the volume is gone"],
        }

    @pytest.mark.parametrize(
        ("words", "is_told"),
        [
            (["go", "--jason", "--json"], True),
            (["gone", "--json"], True),
            (["go", "--jason"], False),
            (["go", "--jason", "--", "--json"], False),
        ],
    )
    def test_wrong_usage_is_a_document_where_json_is_asked_for(
        self, run: Run, target: Any, words: list[str], is_told: bool
    ) -> None:
        """Nothing of the command has been read then, and no argument that is called so counts."""
        target.add("acme", {"tool": COMMAND.format(name="go", target="acme_target_module:fail")})
        result = run(*words)
        assert result.exit_code == 2 and "Usage: " in result.stderr
        if not is_told:
            assert result.stdout == ""
            return
        error = json.loads(result.stdout)["error"]
        assert error["code"] == "wrong_usage"
        assert error["detail"] in result.stderr

    def test_unknown_command_with_unreadable_gate_says_so(self, run: Run) -> None:
        """A command that may be a plugin's cannot be looked for without the gate."""
        result = run("go", JUSTSTORAGE_CONFIG="none.toml")
        assert result.exit_code == 2
        assert result.stderr.startswith("juststorage: cannot read the configuration file")


def test_package_exports_only_what_it_names() -> None:
    """A name that the package does not have is an AttributeError as for any module."""
    import juststorage.cli

    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        juststorage.cli.nothing  # noqa: B018


class TestProcess:
    @pytest.fixture
    def juststorage(self, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
        """Runs the installed command in a process of its own."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith("JUSTSTORAGE")
        }

        def start(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [sys.executable, "-c", "from juststorage.cli import main; main()", *args],
                cwd=tmp_path,
                env={**environment, **more},
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )

        return start

    def test_misconfigured_process_ends_with_2_and_one_line(self, juststorage: Any) -> None:
        """A real process prints one line and no traceback."""
        ended = juststorage(
            "config",
            "check",
            JUSTSTORAGE__METADATA__BACKEND="memory",
            JUSTSTORAGE__AUTH__CHAIN="[]",
        )
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr.startswith("juststorage: blobs.hot.backend is not set")
        assert ended.stderr.count("\n") == 1

    def test_help_starts_without_anything_heavy(self, juststorage: Any, tmp_path: Path) -> None:
        """--help imports no event loop, server, database or HTTP library."""
        ended = juststorage("--help", PYTHONPROFILEIMPORTTIME="1")
        assert ended.returncode == 0
        imported = {line.split("|")[-1].strip() for line in ended.stderr.splitlines()}
        heavy = {
            "packaging.requirements",
            "asyncio",
            "anyio",
            "sqlalchemy",
            "alembic",
            "asyncpg",
            "litestar",
            "granian",
        }
        assert "juststorage.plugins._host" in imported
        assert not heavy & imported

    def test_help_is_quick(self, juststorage: Any) -> None:
        """--help takes well under a second of processor time (0.21 s where it was written)."""
        began = os.times()
        for _ in range(3):
            assert juststorage("--help").returncode == 0
        ended = os.times()
        used_s = ended.children_user + ended.children_system
        used_s -= began.children_user + began.children_system
        assert used_s / 3 < 1.0

    def test_version_needs_no_configuration(self, juststorage: Any) -> None:
        """--version imports neither plugins nor configuration."""
        ended = juststorage("--version", PYTHONPROFILEIMPORTTIME="1")
        assert ended.stdout == f"juststorage {__version__}\n"
        assert "juststorage.config" not in ended.stderr
