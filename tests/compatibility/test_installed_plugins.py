"""Plugins from wheels beside core from its wheel: each mistake is one line that says what to do."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from juststorage import __version__

ROOT = Path(__file__).parents[2]

GOOD = """
import msgspec
from contextlib import asynccontextmanager
from juststorage.plugins import HasherBackend, hookimpl

class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    rounds: int = 1

@asynccontextmanager
async def nothing(options, context):
    yield None

@hookimpl
def juststorage_hashers():
    yield HasherBackend(name="acme", summary="one", options=Options, open=nothing)
"""

CONFIG = """
[metadata]
backend = "memory"
[blobs.hot]
backend = "memory"
[auth]
chain = []
[hasher]
backend = "acme"
"""


def test_a_plugin_that_fits_is_active(installation: Any) -> None:
    """The control: nothing is reported, and what it offers can be selected."""
    installation.add(GOOD)
    assert installation.juststorage("plugins", "check").returncode == 0
    done = installation.juststorage("config", "check", config=CONFIG)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("source", "requires", "line"),
    [
        (
            "raise SystemError('imported')",
            ["juststorage-core>=0.0.1,<0.1"],
            f"incompatible: needs juststorage-core<0.1,>=0.0.1, found {__version__}",
        ),
        (
            "raise SystemError('imported')",
            ["juststorage-core>=9,<10"],
            f"incompatible: needs juststorage-core<10,>=9, found {__version__}",
        ),
        (
            "raise SystemError('imported')",
            [],
            "incompatible: declares no range of juststorage-core versions",
        ),
        (
            "raise SystemError('imported')",
            ["juststorage-core"],
            "incompatible: declares no range of juststorage-core versions",
        ),
        (
            "import the_driver_of_acme",
            ["juststorage-core>=0.1,<1"],
            "failed: ModuleNotFoundError: No module named 'the_driver_of_acme'",
        ),
        (
            "import socket\nsocket.create_server(('127.0.0.1', 0)).accept()",
            ["juststorage-core>=0.1,<1"],
            "failed: importing it took longer than 0.5 s and was broken off; a plugin must not"
            " wait for anything before it is opened",
        ),
        (
            GOOD.replace("juststorage_hashers", "juststorage_hasher"),
            ["juststorage-core>=0.1,<1"],
            "failed: implements an unknown hook juststorage_hasher; did you mean"
            " 'juststorage_hashers'? (a typo, or it needs a newer juststorage-core)",
        ),
    ],
    ids=["old", "new", "no requirement", "no range", "raises", "hangs", "misspelt hook"],
)
def test_a_plugin_that_does_not_work_is_one_line(
    installation: Any, source: str, requires: list[str], line: str
) -> None:
    """A warning where nobody selected it; where it is selected, the reason why it is not there."""
    installation.add(source, requires=requires)
    patience = {"JUSTSTORAGE_PLUGINS_PATIENCE_S": "0.5"}
    done = installation.juststorage("plugins", "check", **patience)
    assert done.returncode == 1
    assert done.stdout == f"plugin acme of acme-plugin 1.0 is {line}\n"
    unselected = CONFIG.replace('"acme"', '"sha256"')
    done = installation.juststorage("config", "check", config=unselected, **patience)
    assert done.returncode == 0
    done = installation.juststorage("config", "check", config=CONFIG, **patience)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "hasher.backend: there is no hasher 'acme' (usable: sha256)" in done.stderr
    assert f"acme ({line})" in done.stderr


def test_a_development_version_stands_for_its_release(installation: Any, tmp_path: Path) -> None:
    """A plugin for the coming version can be tried with the core that leads to it."""
    project = tmp_path / "core"
    shutil.copytree(ROOT / "packages/juststorage-core", project)
    for name in ("pyproject.toml", "src/juststorage/__init__.py"):
        text, count = re.subn(
            rf'(version(?:__)?) = "{re.escape(__version__)}"',
            r'\1 = "7.4.0.dev3"',
            (project / name).read_text(),
        )
        assert count == 1
        (project / name).write_text(text)
    installation.install(project)
    assert installation.juststorage("--version").stdout == "juststorage 7.4.0.dev3\n"
    installation.add(GOOD, requires=["juststorage-core>=7.4,<8"])
    done = installation.juststorage("plugins", "check")
    assert (done.returncode, done.stdout) == (0, "3 plugins, all is well\n")


def test_two_plugins_of_one_name_name_both(installation: Any) -> None:
    """Neither wins by chance, and the line says what to uninstall."""
    installation.add(GOOD)
    installation.add(GOOD, distribution="other-plugin")
    line = (
        "the plugin name 'acme' is claimed by acme-plugin 1.0 and other-plugin 1.0;"
        " uninstall one of them"
    )
    done = installation.juststorage("config", "check", config=CONFIG)
    assert (done.returncode, done.stderr) == (2, f"juststorage: {line}\n")


def test_two_backends_of_one_name_name_both(installation: Any) -> None:
    """Two plugins may not offer the same thing; the line says which setting helps."""
    installation.add(GOOD)
    installation.add(GOOD, distribution="other-plugin", plugin="other")
    done = installation.juststorage("config", "check", config=CONFIG)
    assert done.returncode == 2
    assert done.stderr == (
        "juststorage: the hasher 'acme' is offered by the plugins acme of acme-plugin 1.0 and other"
        " of other-plugin 1.0; put one of them into plugins.disabled\n"
    )
    chosen = CONFIG + '[plugins]\ndisabled = ["other"]\n'
    assert installation.juststorage("config", "check", config=chosen).returncode == 0


def test_an_unknown_option_names_its_place(installation: Any) -> None:
    """A typo is found before anything is opened, with the option that was meant."""
    installation.add(GOOD)
    done = installation.juststorage("config", "check", config=CONFIG + "[hasher.acme]\nrouns = 2\n")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "hasher.acme.rouns" in done.stderr
    assert "did you mean 'rounds'?" in done.stderr


def test_a_selected_backend_that_is_missing_names_those_that_are_there(installation: Any) -> None:
    """The line says what could be chosen, and what was probably meant."""
    installation.add(GOOD)
    wrong = CONFIG.replace('"acme"', '"acne"')
    done = installation.juststorage("config", "check", config=wrong)
    assert (done.returncode, done.stderr) == (
        2,
        "juststorage: hasher.backend: there is no hasher 'acne'; did you mean 'acme'?"
        " (usable: acme, sha256)\n",
    )
