"""`juststorage config`, and where a command's configuration comes from."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from juststorage import __version__
from juststorage.cli import ConfigSource, config_options

Run = Callable[..., Result]


class TestConfig:
    def test_a_data_directory_that_is_not_there(self, run: Run, file: str, tmp_path: Path) -> None:
        """It is told of where it was named, though nothing may be kept in it."""
        nowhere = tmp_path / "no where"
        for more in ((), ("--open",)):
            words = ("config", "check", "--config", file, *more)
            told = run(*words, JUSTSTORAGE__DATA_DIR=str(nowhere))
            warning = f"warning: data_dir: there is no directory '{nowhere}'"
            assert (told.exit_code, told.stderr.splitlines()) == (0, [warning])
            assert run(*words, JUSTSTORAGE__DATA_DIR=str(tmp_path)).stderr == ""
            assert run(*words).stderr == ""
            assert not nowhere.exists()

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
        assert result.output.splitlines() == [
            "metadata: ready",
            "metadata/migrations: ready",
            "blobs.hot: ready",
            "blobs.hot/space: ready",
        ]

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
        assert result.output.splitlines() == [
            "metadata: ready",
            "metadata/migrations: ready",
            "blobs.hot: the drive is empty",
            "blobs.hot/space: ready",
        ]
        words = ("config", "check", "--open", "--config", file, "--json")
        result = run(*words, JUSTSTORAGE__BLOBS__HOT__BACKEND="tape")
        assert result.exit_code == 1
        parts = {each["name"]: each for each in json.loads(result.stdout)["parts"]}
        assert (parts["metadata"]["ok"], parts["blobs.hot"]["ok"]) == (True, False)
        assert parts["blobs.hot"]["detail"] == "the drive is empty"

    def test_check_as_json(self, run: Run, site: Any, file: str) -> None:
        """The same members whatever is asked for; warnings are in it, and on standard error."""
        site.add("acme", {"tape": "raise OSError('no tape')"})
        result = run("config", "check", "--config", file, "--json")
        told = json.loads(result.stdout)
        assert (result.exit_code, told.keys()) == (0, {"backends", "parts", "warnings"})
        assert told["backends"][0] == {
            "instance": "metadata",
            "backend": "memory",
            "origin": f"juststorage-core {__version__}",
        }
        assert told["parts"] is None
        (warning,) = told["warnings"]
        assert f"warning: {warning}" in result.stderr
        opened = json.loads(run("config", "check", "--config", file, "--open", "--json").stdout)
        assert opened.keys() == told.keys() and opened["backends"] == told["backends"]
        names = [each["name"] for each in opened["parts"]]
        assert names == ["metadata", "metadata/migrations", "blobs.hot", "blobs.hot/space"]

    def test_all_mistakes_are_in_one_document(self, run: Run, file: str) -> None:
        """A sentence each, as on standard error, with the code that all of them have."""
        result = run(
            *("config", "check", "--config", file, "--json"),
            JUSTSTORAGE__SERVER__PORT="eighty",
            JUSTSTORAGE__SERVER__PROT="1",
        )
        error = json.loads(result.stdout)["error"]
        assert (result.exit_code, error["code"]) == (2, "misconfigured")
        assert [each.split(" ")[0] for each in error["problems"]] == [
            "server.port:",
            "server.prot:",
        ]
        assert error["detail"] == "; ".join(error["problems"])
        assert result.stderr.splitlines() == [f"juststorage: {each}" for each in error["problems"]]

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
        assert run("config", "schema", "--json").output == result.output
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
