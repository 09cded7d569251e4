"""The rules that scripts/house_rules.py holds, each met and broken."""

from __future__ import annotations

from pathlib import Path

from scripts.house_rules import not_portable, too_long, wrong_version

HERE = Path("module.py")


def test_a_module_ends_at_its_limit_unless_it_says_why() -> None:
    """400 lines pass, 401 do not, and a reason lifts the limit."""
    assert not list(too_long(HERE, "x = 1\n" * 400))
    assert list(too_long(HERE, "x = 1\n" * 401))
    assert not list(too_long(HERE, '"""Longer than most: a table."""\n' + "x = 1\n" * 401))


def test_a_function_ends_at_its_limit() -> None:
    """70 lines pass, 71 do not; nested and async ones count."""
    assert not list(too_long(HERE, "def f():\n" + "    x = 1\n" * 69))
    assert list(too_long(HERE, "class A:\n    async def f(self):\n" + "        x = 1\n" * 70))


def test_a_path_of_one_machine_is_found_with_its_line() -> None:
    """The message leads to the place."""
    text = "fine\ncache = '/ho" + "me/someone/cache'\n"
    assert [breach.split(" ")[0] for breach in not_portable(HERE, text)] == ["module.py:2:"]


def test_code_and_metadata_agree_on_the_version(tmp_path: Path) -> None:
    """A release that changes one of the two is stopped."""
    project_file = tmp_path / "pyproject.toml"
    project_file.write_text('[project]\nversion = "1.2.3"\n')
    package = tmp_path / "src/package/__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text('__version__ = "1.2.3"\n')
    assert not list(wrong_version(project_file))
    package.write_text('__version__ = "1.2.4"\n')
    assert list(wrong_version(project_file))
