"""The command line: what it prints, how it ends, and that nothing breaks its help."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from juststorage import __version__
from juststorage.cli import ConfigSource, config_options
from juststorage.cli import _main as cli
from juststorage.plugins._records import RESERVED_COMMANDS

Run = Callable[..., Result]

MEMORY = """
data_dir = "/nowhere"
[metadata]
backend = "memory"
[blobs.hot]
backend = "memory"
[auth]
chain = []
"""
COMMAND = """
from juststorage.plugins import *

@hookimpl
def juststorage_commands():
    yield Command(name={name!r}, summary="Does it", target={target!r})
"""
TARGET = """
import click
from juststorage.cli import config_options
from juststorage.errors import Unavailable

@click.command()
@config_options
def go(source):
    click.echo(f"went with {source.file}")

@click.command()
def fail():
    raise Unavailable("the volume\\nis gone")

class Box:
    go = go
not_one = 7
"""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs `juststorage` in this process, in an empty directory, without anyone's settings."""
    for name in list(os.environ):
        if name.upper().startswith("JUSTSTORAGE"):
            monkeypatch.delenv(name)
    empty = tmp_path / "empty"
    empty.mkdir()
    monkeypatch.chdir(empty)

    def invoke(*args: str, **environment: str) -> Result:
        return CliRunner().invoke(cli.juststorage, args, env=environment)

    return invoke


@pytest.fixture
def file(tmp_path: Path) -> str:
    """A configuration on memory backends."""
    path = tmp_path / "juststorage.toml"
    path.write_text(MEMORY)
    return str(path)


@pytest.fixture
def target(site: Any) -> Any:
    """The site, with a module of commands."""
    (site.directory / "acme_target_module.py").write_text(TARGET)
    site.modules.add("acme_target_module")
    importlib.invalidate_caches()
    return site


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

    def test_unknown_command_with_unreadable_gate_says_so(self, run: Run) -> None:
        """A command that may be a plugin's cannot be looked for without the gate."""
        result = run("go", JUSTSTORAGE_CONFIG="none.toml")
        assert result.exit_code == 2
        assert result.stderr.startswith("juststorage: cannot read the configuration file")


class TestPlugins:
    def test_list_shows_status_and_selection(self, run: Run, site: Any, file: str) -> None:
        """Each plugin has a line with what it provides, where it is selected, or why it is not."""
        site.add_hasher("acme", "old", "h9", requires=["juststorage-core<0.1"])
        for args in (["plugins"], ["plugins", "list"]):
            result = run(*args, "--config", file)
            assert result.exit_code == 0
            head, *rows = result.output.splitlines()
            assert head.split() == [
                "PLUGIN",
                "DISTRIBUTION",
                "VERSION",
                "STATUS",
                "PROVIDES",
                "NOTE",
            ]
            (memory,) = [row for row in rows if row.startswith("memory ")]
            assert "blob_store:memory metadata_store:memory" in memory
            assert memory.endswith("selected: blobs.hot, metadata")
            (old,) = [row for row in rows if row.startswith("old ")]
            assert old.endswith("needs juststorage-core<0.1, found 0.1.0")

    def test_list_works_with_a_wrong_configuration(self, run: Run) -> None:
        """Listing needs no right configuration; it says that it does not know what is selected."""
        result = run("plugins", "--json", JUSTSTORAGE__SERVER__PORT="x")
        assert result.exit_code == 0
        rows = json.loads(result.stdout)
        assert {row["status"] for row in rows} == {"active"}
        assert all(row["selected"] == [] for row in rows)
        assert "server.port: Expected int, got str; " in result.stderr
        assert "nothing counts as selected" in result.stderr

    def test_json_says_the_same(self, run: Run, file: str) -> None:
        """--json has every member of the record."""
        rows = json.loads(run("plugins", "list", "--json", "--config", file).stdout)
        (memory,) = [row for row in rows if row["name"] == "memory"]
        assert memory == {
            "name": "memory",
            "distribution": "juststorage-core",
            "version": __version__,
            "target": "juststorage.plugins.memory",
            "status": "active",
            "reason": None,
            "provides": ["blob_store:memory", "metadata_store:memory"],
            "selected": ["blobs.hot", "metadata"],
        }

    def test_show_lists_options_and_capabilities(self, run: Run, site: Any) -> None:
        """A plugin is shown with each backend's options, their types, bounds and defaults."""
        source = """
            import msgspec
            from typing import Annotated, Literal
            from juststorage.plugins import *

            class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
                url: Annotated[Secret, msgspec.Meta(description="Where")]
                size: Annotated[int, msgspec.Meta(ge=1, le=9)] = 3
                mode: Literal["a", "b"] | None = None
                names: tuple[str, ...] = ()

            @hookimpl
            def juststorage_blob_stores():
                yield BlobStoreBackend(
                    name="tape", summary="On tape", options=Options, open=print, durable=False,
                    capabilities=BlobCapabilities(trash=True),
                )

            @hookimpl
            def juststorage_commands():
                yield Command(name="rewind", summary="Rewinds", target="a:b")
        """
        site.add("acme", {"tape": source})
        lines = [
            " ".join(line.split()) for line in run("plugins", "show", "tape").output.split("\n")
        ]
        assert lines[0] == "tape: active, acme 1.0, acme_tape_module"
        assert "blob_store:tape: On tape" in lines
        assert "forgets everything when the process ends" in lines
        assert "capabilities: trash" in lines
        assert "url secret required - Where" in lines
        assert "size integer 3 >= 1, <= 9" in lines
        assert "mode a or b null -" in lines
        assert "names list of string [] -" in lines
        assert "command:rewind: Rewinds" in lines
        shown = json.loads(run("plugins", "show", "tape", "--json").output)
        assert shown["offers"][0]["capabilities"]["trash"] is True
        assert shown["offers"][0]["options"]["required"] == ["url"]

    def test_show_of_a_backend_without_capabilities(self, run: Run) -> None:
        """Kinds that declare no capabilities are shown without."""
        output = run("plugins", "show", "core").output
        assert "hasher:sha256: " in output
        assert "capabilities" not in output

    def test_show_of_a_broken_plugin_says_why(self, run: Run, site: Any) -> None:
        """A plugin that is not usable is shown with its reason."""
        site.add("acme", {"tape": "raise OSError('no tape')"})
        assert "OSError: no tape" in run("plugins", "show", "tape").output

    def test_show_of_nothing_is_a_near_miss(self, run: Run) -> None:
        """A name that no plugin has ends with 2 and a hint."""
        result = run("plugins", "show", "memry")
        assert (result.exit_code, result.stderr) == (
            2,
            "juststorage: no plugin named 'memry' is installed; did you mean 'memory'?\n",
        )

    def test_check_ends_with_1_when_something_is_wrong(self, run: Run, site: Any) -> None:
        """A failed, incompatible or conflicting plugin makes the check fail, and is named."""
        result = run("plugins", "check")
        assert result.exit_code == 0
        assert result.output.endswith("plugins, all is well\n")
        site.add("acme", {"tape": "raise OSError('no tape')"})
        result = run("plugins", "check")
        assert (result.exit_code, result.output) == (
            1,
            "plugin tape of acme 1.0 is failed: OSError: no tape\n",
        )
        listed = run("plugins", "check", "--json")
        assert listed.exit_code == 1
        assert json.loads(listed.output) == ["plugin tape of acme 1.0 is failed: OSError: no tape"]


class TestConfig:
    def test_check_of_a_right_configuration_lists_what_is_used(self, run: Run, file: str) -> None:
        """Every instance is named with its backend and distribution."""
        result = run("config", "check", "--config", file)
        assert result.exit_code == 0
        version = f"(juststorage-core {__version__})"
        assert result.output.splitlines() == [
            f"metadata: memory {version}",
            f"blobs.hot: memory {version}",
            f"hasher: sha256 {version}",
            f"gc: age {version}",
        ]

    @pytest.mark.parametrize(
        ("environment", "line"),
        [
            ({"JUSTSTORAGE__SERVER__PROT": "1"}, "server.prot: unknown option; did you mean 'por"),
            (
                {"JUSTSTORAGE__METADATA__BACKEND": "memry"},
                "metadata.backend: there is no metadata store 'memry'; did you mean 'memory'?",
            ),
            (
                {"JUSTSTORAGE__METADATA__MEMRY__X": "1"},
                "metadata.memry: there is no metadata store 'memry'; did you mean 'memory'?",
            ),
            ({"JUSTSTORAGE__GC__AGE__KEEP": "1"}, "gc.age.keep: unknown option; did you mean"),
            ({"JUSTSTORAGE_CONFIG": "none"}, None),
        ],
    )
    def test_wrong_configuration_is_one_line_and_exit_code_2(
        self, run: Run, file: str, environment: dict[str, str], line: str | None
    ) -> None:
        """Misconfigured is a line on standard error, never a traceback."""
        result = run("config", "check", "--config", file, **environment)
        if line is None:
            assert result.exit_code == 0  # --config wins over the variable
            return
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith(f"juststorage: {line}")
        assert result.stderr.count("\n") == 1

    def test_all_mistakes_are_told_at_once(self, run: Run, file: str) -> None:
        """Core's settings, selections, plugins' options and stray tables: a line for each."""
        result = run(
            "config",
            "check",
            "--config",
            file,
            JUSTSTORAGE__SERVER__PORT="eighty",
            JUSTSTORAGE__SERVER__PROT="1",
            JUSTSTORAGE__METADATA__BACKEND="memry",
            JUSTSTORAGE__BLOBS__HOT__MEMORY__ROOT="/",
            JUSTSTORAGE__GC__AGE__KEEP="1",
        )
        assert (result.exit_code, result.stdout) == (2, "")
        assert [line.split(" ")[:2] for line in result.stderr.splitlines()] == [
            ["juststorage:", "server.port:"],
            ["juststorage:", "server.prot:"],
            ["juststorage:", "metadata.backend:"],
            ["juststorage:", "blobs.hot.memory.root:"],
            ["juststorage:", "gc.age.keep:"],
        ]

    def test_a_wrong_gate_lets_no_plugin_in(self, run: Run, site: Any, file: str) -> None:
        """Where it is unclear which plugins may be imported, none is, to find more mistakes."""
        site.add("acme", {"tape": "import os; os.mkdir('imported')"})
        result = run("config", "check", "--config", file, JUSTSTORAGE__PLUGINS__DISABLE="tape")
        assert result.exit_code == 2
        assert result.stderr.startswith("juststorage: plugins.disable: unknown option")
        assert not Path("imported").exists()

    def test_check_warns_of_plugins_that_are_not_selected(
        self, run: Run, site: Any, file: str
    ) -> None:
        """A broken plugin that nobody selected is a warning; strict, an error."""
        site.add("acme", {"tape": "raise OSError('no tape')"})
        result = run("config", "check", "--config", file)
        assert result.exit_code == 0
        assert "warning: plugin tape of acme 1.0 is failed: OSError: no tape" in result.stderr
        strict = run("config", "check", "--config", file, JUSTSTORAGE_PLUGINS_STRICT="1")
        assert strict.exit_code == 2

    def test_check_can_open_everything(self, run: Run, file: str) -> None:
        """--open opens every backend and prints whether it is ready."""
        result = run("config", "check", "--open", "--config", file)
        assert result.exit_code == 0
        assert result.output.splitlines() == ["metadata: ready", "blobs.hot: ready"]

    def test_check_open_ends_with_1_when_a_part_is_not_ready(
        self, run: Run, site: Any, file: str
    ) -> None:
        """A part that is not ready is printed with its detail."""
        source = """
            from contextlib import asynccontextmanager
            from juststorage.errors import Unavailable
            from juststorage.plugins import *
            from juststorage.plugins import memory

            @asynccontextmanager
            async def opened(options, context):
                (backend,) = memory.juststorage_blob_stores()
                async with backend.open(options, context) as store:
                    async def ping():
                        raise Unavailable("the drive is empty")
                    store.ping = ping
                    yield store

            @hookimpl
            def juststorage_blob_stores():
                (backend,) = memory.juststorage_blob_stores()
                yield BlobStoreBackend(
                    name="tape", summary="On tape", options=backend.options, open=opened
                )
        """
        site.add("acme", {"tape": source})
        result = run(
            "config", "check", "--open", "--config", file, JUSTSTORAGE__BLOBS__HOT__BACKEND="tape"
        )
        assert result.exit_code == 1
        assert result.output.splitlines() == ["metadata: ready", "blobs.hot: the drive is empty"]

    def test_show_is_toml_without_secrets(self, run: Run, file: str) -> None:
        """Each setting is one line of TOML with its whole name; secrets are not shown."""
        import tomllib

        result = run("config", "show", "--config", file, JUSTSTORAGE__AUTH__JWT__KEY="hunter2")
        assert result.exit_code == 0
        shown = tomllib.loads(result.output)
        assert shown["metadata"]["backend"] == "memory"
        assert shown["auth"]["jwt"]["key"] == "***"
        assert "# blobs.cold.backend is not set" in result.output
        as_json = json.loads(run("config", "show", "--config", file, "--json").output)
        assert as_json["server"]["port"] == 8080

    def test_show_tells_the_embedded_default(self, run: Run) -> None:
        """Without configuration the first line says so, and --data-dir is in effect."""
        result = run("config", "show", "--data-dir", "elsewhere")
        assert result.output.startswith("# Nothing is configured: the embedded backends are used.")
        assert 'data_dir = "elsewhere"' in result.output

    def test_schema_describes_what_is_installed(self, run: Run) -> None:
        """The schema is valid, knows the installed backends and needs no configuration."""
        result = run("config", "schema")
        assert result.exit_code == 0
        schema = json.loads(result.output)
        Draft202012Validator.check_schema(schema)
        assert "memory" in schema["properties"]["metadata"]["properties"]["backend"]["enum"]


def test_source_of_a_subcommand_wins_over_its_group_s() -> None:
    """Options after the subcommand are stronger than options before it."""
    group, own = ConfigSource(Path("a"), Path("b")), ConfigSource(Path("c"))
    assert own.over(group) == ConfigSource(Path("c"), Path("b"))


def test_overrides_of_a_command_reach_the_configuration(file: str) -> None:
    """A command can lay its own options over the configuration."""

    @click.command()
    @config_options
    @click.option("--port", type=int)
    def serve(source: ConfigSource, port: int) -> None:
        config = source.load({"server": {"port": port}})
        click.echo(f"{config.server.port} {config.data_dir}")

    result = CliRunner().invoke(serve, ["--config", file, "--port", "7", "--data-dir", "/d"])
    assert result.output == "7 /d\n"


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
