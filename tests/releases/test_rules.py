"""Which versions may follow each other, and the ranges in which packages need each other."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.version import Version

from benchmarks.load import rows
from scripts.releasing import figures
from scripts.releasing.inventory import not_allowed
from scripts.releasing.projects import projects, range_of, set_ranges, wrong_step


@pytest.mark.parametrize(
    ("old", "new", "fragments"),
    [
        ("0.1.0", "0.1.1", ["1.bugfix.md", "2.doc.1.md", "3.misc.md"]),
        ("0.1.0", "0.2.0", ["1.feature.md", "2.removal.md"]),
        ("0.1.0", "0.2.0rc1", ["1.removal.2.md"]),
        ("0.2.0rc1", "0.2.0", []),
        ("1.4.2", "1.5.0", ["1.feature.3.md"]),
        ("1.4.2", "2.0.0", ["1.removal.md"]),
    ],
)
def test_a_version_may_do_what_its_number_says(old: str, new: str, fragments: list[str]) -> None:
    """A patch repairs, a minor version adds, and a major one (before 1.0 a minor one) removes."""
    assert wrong_step(Version(old), Version(new), fragments) is None


@pytest.mark.parametrize(
    ("old", "new", "fragments", "why"),
    [
        ("0.1.0", "0.1.0", [], "not newer"),
        ("0.2.0", "0.1.9", [], "not newer"),
        ("0.2.0", "0.2.0rc1", [], "not newer"),
        ("0.1.0", "0.1.1", ["1.feature.md"], "1.feature.md adds"),
        ("0.1.0", "0.1.1", ["1.removal.md"], "the next version is 0.2.0"),
        ("1.4.2", "1.5.0", ["1.removal.1.md"], "the next version is 2.0"),
        ("0.1.0", "0.2", [], "three numbers"),
        ("0.1.0", "0.2.0.dev1", [], "three numbers"),
        ("0.1.0", "0.2.0+here", [], "three numbers"),
    ],
)
def test_a_version_that_promises_too_much(
    old: str, new: str, fragments: list[str], why: str
) -> None:
    """The reason names the fragment, or the number that would do."""
    assert why in str(wrong_step(Version(old), Version(new), fragments))


@pytest.mark.parametrize(
    ("version", "told"),
    [
        ("0.2.0", ">=0.2,<0.3"),
        ("0.2.0rc1", ">=0.2.0rc1,<0.3"),
        ("1.5.0", ">=1.5,<2"),
        ("2.0.0", ">=2.0,<3"),
    ],
)
def test_a_range_ends_where_something_may_break(version: str, told: str) -> None:
    """As docs/plugins/versions.md promises, and with a pre-release that pip would pass over."""
    assert range_of(Version(version)) == told


def test_those_who_need_a_package_follow_it(repository: Path) -> None:
    """Extras, examples and the root too, each with a fragment; a patch moves none."""
    assert set_ranges(repository, "juststorage-core", Version("0.1.1")) == []
    changed = set_ranges(repository, "juststorage-core", Version("0.2.0"))
    ours = projects(repository)
    assert {*ours, "juststorage-blake3", "juststorage-fsspec"} - {"juststorage-core"} == {*changed}
    api = tomllib.loads(ours["juststorage-api"].manifest.read_text())["project"]
    assert "juststorage-core>=0.2,<0.3" in api["dependencies"]
    assert api["optional-dependencies"]["otel"] == ["juststorage-core[otel]>=0.2,<0.3"]
    assert "+juststorage-core.feature.md" in ours["juststorage-api"].fragments
    assert not [name for name in ours["juststorage-core"].fragments if name.startswith("+")]


def test_release_notes_have_the_rows_that_benchmarks_write() -> None:
    """A row of another name would never be found in a report."""
    hottest = {kind.name for kind in rows._SMALL if kind.what in rows._HOTTEST}
    assert hottest == {*figures.HOTTEST}


@pytest.mark.parametrize("told", ["GPL-3.0-or-later", "AGPL-3.0-only", "none", "MIT AND SSPL-1.0"])
def test_a_licence_that_asks_for_more_is_not_allowed(told: str) -> None:
    """Nor one that nobody can name."""
    assert not_allowed({"it": told}) == {"it": told}


@pytest.mark.parametrize("told", ["MIT", "GPL-2.0-only OR MIT", "(MIT OR Apache-2.0) AND ISC"])
def test_where_one_may_choose_one_allowed_licence_is_enough(told: str) -> None:
    """OR is a choice, AND is none."""
    assert not_allowed({"it": told}) == {}
