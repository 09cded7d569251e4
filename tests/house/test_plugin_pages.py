"""docs/plugins has a page for each kind, and says what the code says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from juststorage.plugins._records import HOOKS, PluginStatus

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs/plugins"
KINDS = sorted(each.kind for each in HOOKS.values())
SUBJECTS = ("Durability", "Cancellation", "Errors", "Concurrency")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the code has them now."""
    pages = tmp_path_factory.mktemp("pages")
    subprocess.run([sys.executable, ROOT / "scripts/plugin_pages.py", pages], check=True)
    return pages


@pytest.mark.parametrize("page", [*KINDS, "common"])
def test_the_committed_page_is_that_of_the_code(made: Path, page: str) -> None:
    """A docstring of a port, a template or a test of the kit changed: scripts/plugin-pages."""
    written = (made / f"{page}.md").read_text()
    assert written == (COMMITTED / f"{page}.md").read_text(), "run scripts/plugin-pages"


def test_every_kind_has_a_page(made: Path) -> None:
    """A new hook comes with its page, and nothing else is written."""
    assert sorted(path.stem for path in made.iterdir()) == sorted([*KINDS, "common"])


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_says_what_an_author_must_know(made: Path, kind: str) -> None:
    """Durability, cancellation, errors, concurrency, capabilities, options and the kit: each."""
    headings = [
        line.lstrip("# ")
        for line in (made / f"{kind}.md").read_text().splitlines()
        if line.startswith("#")
    ]
    wanted = {*SUBJECTS, "Capabilities", "Options and configuration", "What the kit tests"}
    assert wanted <= set(headings)


def test_every_status_of_a_plugin_is_explained() -> None:
    """Whoever reads `juststorage plugins` finds what to do about each word of it."""
    text = (COMMITTED / "versions.md").read_text()
    for status in set(PluginStatus) - {PluginStatus.FOUND}:
        assert f"\n| `{status}` |" in text


def test_the_first_page_leads_to_every_other() -> None:
    """No page is found by chance only."""
    text = (COMMITTED / "README.md").read_text()
    for page in COMMITTED.glob("*.md"):
        assert page.name == "README.md" or f"]({page.name})" in text
