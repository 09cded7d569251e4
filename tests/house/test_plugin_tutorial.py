"""docs/plugins/tutorial.md, followed to its end."""

from __future__ import annotations

import os
import shutil
import site
import sys
import venv
from pathlib import Path

import pytest

from scripts.follow_tutorial import Stumbled, blocks, follow

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/plugins/tutorial.md"

# What a reader gets from an index is here already: the commands without it, on the same versions.
SCRIPTS = {
    "juststorage": "from juststorage.cli import main; main()",
    "pytest": "import runpy; runpy.run_module('pytest', run_name='__main__')",
}
PIP = """#!/bin/sh
[ "$1" = install ] || exit 9
shift
case " $* " in *" --no-deps "*) ;; *) set -- --no-deps "$@" ;; esac
exec {uv} pip install --quiet --offline --no-build-isolation --python {python} "$@"
"""
PYTHON_M_BUILD = "python -m build"


def prepare(directory: Path) -> str:
    """Make the environment that the tutorial would, from what is installed for these tests.

    Returns:
        The command that activates it.
    """
    home = directory / ".venv"
    venv.create(home, with_pip=False)
    python, commands = home / "bin/python", home / "bin"
    [packages] = home.glob("lib/python*/site-packages")
    # addsitedir: packages of this checkout are installed editable, by .pth files of their own.
    outside = [path for path in site.getsitepackages() if Path(path).is_dir()]
    (packages / "outside.pth").write_text(
        "".join(f"import site; site.addsitedir({path!r})\n" for path in outside)
    )
    for name, code in SCRIPTS.items():
        _executable(commands / name, f"#!{python}\n{code}\n")
    uv = shutil.which("uv") or str(Path(sys.executable).with_name("uv"))
    _executable(commands / "pip", PIP.format(uv=uv, python=python))
    return ". .venv/bin/activate"


def _executable(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this test run reaches those of the tutorial."""
    for name in os.environ:
        if name.startswith(("COV", "JUSTSTORAGE", "PYTEST")) or name == "PYTHONPATH":
            monkeypatch.delenv(name)
    # A reader has the kit's plugins alone.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_PLUGINS", "anyio.pytest_plugin")


@pytest.mark.timeout(400)  # it runs the kit twice
@pytest.mark.usefixtures("bare_environment")
def test_the_tutorial_can_be_followed(tmp_path: Path) -> None:
    """Every command, file and change of it works, and prints what it says."""
    text = TUTORIAL.read_text()
    assert text.count(PYTHON_M_BUILD) == 1
    offline = text.replace(PYTHON_M_BUILD, f"{PYTHON_M_BUILD} --no-isolation")
    follow(offline, tmp_path, environment=prepare(tmp_path))


def test_it_is_about_what_readers_have() -> None:
    """One block makes the environment; scripts/test-examples runs that one too, from wheels."""
    found = list(blocks(TUTORIAL.read_text()))
    assert ["environment" in each.options for each in found].count(True) == 1
    assert {each.word for each in found} == {"sh", "text", "diff", "python", "toml"}


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("```sh\nfalse\n```\n", "line 1: ended with 1"),
        ("\n```sh exit=1\ntrue\n```\n", "line 2: ended with 1\nexit code 0, not 1"),
        ("```sh\necho one\n```\n```text\ntwo\n```\n", "line 4: not said: two"),
        ("```sh\nprintf 'a\\nb\\n'\n```\n```text\nb\na\n```\n", "not said: a"),
        ("Write it.\n\n```toml file=a.toml\n```\n", "does not name a.toml"),
        ("```console\n$ true\n```\n", "nobody checks"),
        ("```diff\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n```\n", "line 1: ended with 1"),
    ],
)
def test_what_is_not_so_is_noticed(tmp_path: Path, document: str, complaint: str) -> None:
    """A command that fails, output that differs, a change that does not fit."""
    with pytest.raises(Stumbled) as stumbled:
        follow(document, tmp_path)
    assert complaint in str(stumbled.value)


def test_a_document_is_followed_in_one_shell(tmp_path: Path) -> None:
    """Directories and variables last; dots stand for anything within a line."""
    document = (
        "```sh\nmkdir in; cd in; A=1\n```\nIn `f/x.toml`:\n\n```toml file=f/x.toml\na = 1\n```\n"
        "```diff\n--- a/f/x.toml\n+++ b/f/x.toml\n@@ -1 +1 @@\n-a = 1\n+a = 2\n```\n"
        "```sh\necho $A  here; cat f/x.toml\n```\n```text\n1 ...re\na = 2\n```\n"
    )
    follow(document, tmp_path)
    assert (tmp_path / "in/f/x.toml").read_text() == "a = 2\n"
