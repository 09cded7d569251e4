"""`juststorage plugins new`: what it writes. scripts/test-examples runs what was written."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from packaging.requirements import Requirement

from juststorage import __version__
from juststorage.cli._scaffold import KINDS, TAKEN, _words, core_range
from juststorage.config import Config
from juststorage.plugins._host import PluginHost
from juststorage.plugins._records import KIND_WORDS

Run = Callable[..., Result]


def test_there_is_a_template_for_each_kind() -> None:
    """A kind that is added gets a template too."""
    assert KINDS.keys() == KIND_WORDS.keys()


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_package_is_complete(run: Run, tmp_path: Path, kind: str) -> None:
    """Everything is there, filled in, and compiles; the range on core fits this core."""
    result = run("plugins", "new", kind, "big_tape", "--directory", str(tmp_path / "it"))
    assert result.exit_code == 0, result.output
    written = {path for path in (tmp_path / "it").rglob("*") if path.is_file()}
    assert {Path(line) for line in result.output.split("\n\n")[0].splitlines()} == written
    names = {str(path.relative_to(tmp_path / "it")) for path in written}
    assert names >= {
        ".github/workflows/test.yml",
        ".gitignore",
        "CHANGELOG.md",
        "README.md",
        "pyproject.toml",
        "src/juststorage_big_tape/__init__.py",
        "src/juststorage_big_tape/plugin.py",
        "src/juststorage_big_tape/py.typed",
        "tests/test_contract.py",
    }
    for path in written:
        text = path.read_text()
        assert "$" not in text.replace("${{ matrix.python }}", "").replace("$(ls", ""), path
        if path.suffix == ".py":
            compile(text, path, "exec")
    project = tomllib.loads((tmp_path / "it" / "pyproject.toml").read_text())["project"]
    assert project["name"] == "juststorage-big-tape"
    points = {"juststorage.plugins": {"big_tape": "juststorage_big_tape.plugin"}}
    assert project["entry-points"] == points
    (core,) = [
        wanted
        for wanted in map(Requirement, project["dependencies"])
        if wanted.name == "juststorage-core"
    ]
    assert core.specifier.contains(__version__)
    assert "<" in str(core.specifier)


def test_without_a_directory_it_is_named_after_the_plugin(run: Run) -> None:
    """It is written where the command runs, and the next steps are told."""
    result = run("plugins", "new", "hasher", "tiger")
    assert result.exit_code == 0
    assert Path("juststorage-tiger/pyproject.toml").is_file()
    assert "cd juststorage-tiger" in result.output


def test_what_was_written_as_json(run: Run) -> None:
    """One document with every file; a refusal is one too."""
    told = json.loads(run("plugins", "new", "hasher", "tiger", "--json").stdout)
    files = {str(path.relative_to("juststorage-tiger")) for path in written(Path())}
    assert (set(told.pop("files")), bool(files)) == (files, True)
    assert told == {"kind": "hasher", "name": "tiger", "directory": "juststorage-tiger"}
    refused = run("plugins", "new", "hasher", "tiger", "--json")
    assert (refused.exit_code, refused.stdout.count("\n")) == (2, 1)
    assert json.loads(refused.stdout)["error"]["code"] == "misconfigured"


def written(directory: Path) -> list[Path]:
    """All files below."""
    return [path for path in directory.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["Tape", "tape-2", "2tape", "", "class", "../up", "t" * 64, "é"])
def test_a_name_that_cannot_be_is_refused(run: Run, tmp_path: Path, name: str) -> None:
    """One line says what a name looks like, and nothing is written."""
    result = run("plugins", "new", "blob_store", "--directory", str(tmp_path / "it"), "--", name)
    assert result.exit_code == 2
    assert "cannot be the name of a plugin" in result.stderr
    assert not (tmp_path / "it").exists()


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("blob_store", "memory", "has one of that name"),
        ("gc_policy", "age", "has one of that name"),
        ("command", "gc", "`juststorage gc` is a command"),
        ("hasher", "class", "a word of Python"),
        ("hasher", "Tiger", "lower-case letters"),
    ],
)
def test_a_name_that_is_taken_is_refused(
    run: Run, tmp_path: Path, kind: str, name: str, reason: str
) -> None:
    """Before the package is written, not when somebody installs it; and for the true reason."""
    result = run("plugins", "new", kind, name, "--directory", str(tmp_path / "it"))
    assert result.exit_code == 2
    assert reason in result.stderr
    assert not (tmp_path / "it").exists()


def test_the_names_of_our_packages_are_known() -> None:
    """Whatever of ours is installed here: its plugins and what they offer."""
    packages = {f"juststorage-{name}" for name in ("core", "api", "sqlite", "postgres", "localfs")}
    packages.add("juststorage-objectstore")
    ours = [each for each in PluginHost().load().records if each.distribution in packages]
    offered = {
        name
        for each in ours
        for kind, _, name in (provided.partition(":") for provided in each.provides)
        if kind != "command"
    }
    assert {each.name for each in ours} | offered <= TAKEN


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"command"}))
def test_the_configuration_in_the_readme_selects_it(kind: str) -> None:
    """What a README and the page of a kind show is read by core, and leads to the plugin."""
    lines = _words(kind, "mine")["usage"].split("\n\n")[0].splitlines()
    shown = tomllib.loads("\n".join(line.removeprefix("    ") for line in lines))
    rest = {"metadata": {"backend": "memory"}, "blobs": {"hot": {"backend": "memory"}}}
    config = Config.from_mapping({**rest, **shown})
    assert any("mine" in section.chosen for section in config.sections().values())


def test_nothing_is_written_over(run: Run, tmp_path: Path) -> None:
    """A directory with something in it is left alone; an empty one will do."""
    kept = tmp_path / "it" / "README.md"
    kept.parent.mkdir()
    args = ("plugins", "new", "hasher", "tiger", "--directory", str(tmp_path / "it"))
    assert run(*args).exit_code == 0
    kept.write_text("mine")
    result = run(*args)
    assert result.exit_code == 2
    assert "is not empty" in result.stderr
    assert kept.read_text() == "mine"


def test_a_directory_that_cannot_be_written_is_one_line(run: Run, tmp_path: Path) -> None:
    """The reason of the system, and no traceback."""
    (tmp_path / "file").write_text("")
    where = str(tmp_path / "file" / "below")
    result = run("plugins", "new", "hasher", "tiger", "--directory", where)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert "Not a directory" in result.stderr


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.1.0", ">=0.1,<0.2"),
        ("0.9.3", ">=0.9,<0.10"),
        ("1.0.0", ">=1.0,<2"),
        ("1.4.2", ">=1.4,<2"),
        ("12.3.0.dev1", ">=12.3,<13"),
    ],
)
def test_the_range_ends_where_plugins_may_break(version: str, expected: str) -> None:
    """At the next major version, and before 1.0 at the next minor one."""
    assert core_range(version) == expected
