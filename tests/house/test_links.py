"""What the documents point at exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.house_rules import tracked_files

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"\]\((?!https?://|#|mailto:)([^)#\s]+)[^)]*\)")
DOCUMENTS = sorted(path for path in tracked_files() if path.suffix == ".md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_links_lead_somewhere(document: Path) -> None:
    """A relative link names a file, or a folder that says what it is: the site has a page of it."""
    path = ROOT / document
    targets = [(target, path.parent / target) for target in LINK.findall(path.read_text())]
    missing = [
        target for target, to in targets if not (to.is_file() or (to / "README.md").is_file())
    ]
    assert not missing


@pytest.mark.parametrize("package", sorted(path.name for path in ROOT.glob("packages/*")))
def test_the_first_page_leads_to_every_package(package: str) -> None:
    """Whoever reads README.md finds what each package needs."""
    assert f"packages/{package}" in (ROOT / "README.md").read_text()
