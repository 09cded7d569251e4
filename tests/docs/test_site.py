"""What the site is made of has a place in it, and what is broken in it is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = ROOT / "scripts/site"


def run(code: str, *arguments: Path) -> str:
    """Run Python with the modules of scripts/site."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}", *arguments],
        cwd=SITE,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A page with one link of each kind, all of them right."""
    (tmp_path / "style.css").write_text("body { background: url(data:,x) }")
    (tmp_path / "other.html").write_text('<h1 id="there">x</h1>')
    (tmp_path / "index.html").write_text(
        '<link rel="stylesheet" href="style.css"><a href="other.html#there">x</a>'
        '<a href="https://elsewhere.example/">x</a><a href="#here" id="here">x</a>'
    )
    return tmp_path


def complaints(site: Path) -> str:
    """What the check says about it."""
    code = "from pathlib import Path\nfrom links import complaints\n"
    return run(code + "print(*complaints(Path(sys.argv[1])), sep='\\n')", site)


def test_what_is_right_is_let_through(site: Path) -> None:
    """Links of others are for people to follow; nobody asks the network."""
    assert complaints(site).strip() == ""


@pytest.mark.parametrize(
    ("broken", "complaint"),
    [
        ('<a href="gone.html">x</a>', "gone.html leads nowhere"),
        ('<a href="other.html#gone">x</a>', "other.html#gone has no such anchor"),
        ('<img src="gone.png">', "gone.png, which is not there"),
        ('<script src="https://cdn.example/x.js"></script>', "from elsewhere"),
        ('<link rel="preconnect" href="https://fonts.example">', "from elsewhere"),
    ],
)
def test_what_is_broken_is_named(site: Path, broken: str, complaint: str) -> None:
    """A page, an anchor, a file; and whatever would be fetched from elsewhere."""
    (site / "index.html").write_text(broken)
    assert complaint in complaints(site)


def outside(code: str, *arguments: Path | str) -> str:
    """Run Python with the module about links that lead elsewhere, and the documents."""
    begin = "from elsewhere import *\nfrom tree import ROOT, sources\n"
    return run(begin + code, *map(Path, arguments)).strip()


def test_links_of_documents_to_elsewhere_are_well_formed() -> None:
    """There are some, and none is a slip; whether they answer, `scripts/docs links` asks."""
    assert int(outside("print(len(elsewhere(ROOT, sources())))")) > 1
    assert outside("print(*malformed(elsewhere(ROOT, sources())), sep='\\n')") == ""


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("http://python.org/", "is not https"),
        ("https://host", "has no name of a host"),
        ("https://storage.example.com/", "is a name for examples"),
        ("https://me@python.org:99999/", "Port out of range"),
        ("https://me@python.org/", "has a user or a port"),
        ("https://python.org/{x}", "is not escaped"),
    ],
)
def test_a_slip_in_a_link_is_named(tmp_path: Path, link: str, complaint: str) -> None:
    """Where it is, and what is wrong; what is in a block of code is no link."""
    (tmp_path / "page.md").write_text(f"[x]({link})\n\n```sh\n<{link}>\n```\n")
    code = "print(*malformed(elsewhere(Path(sys.argv[1]), ['page.md'])), sep='\\n')"
    said = outside(f"from pathlib import Path\n{code}", tmp_path)
    assert said.startswith(f"page.md: {link}")
    assert said.count("\n") == 0
    assert complaint in said


def test_links_that_lead_nowhere_are_named_when_they_are_fetched(tmp_path: Path) -> None:
    """What is there is silent; so is what has moved. What is gone is named, and who is away."""
    (tmp_path / "there").write_text("x")
    (tmp_path / "moved").mkdir()
    code = """
import functools, http.server, threading
from pathlib import Path
handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=sys.argv[1])
with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    at = f"http://127.0.0.1:{server.server_port}"
    names = [f"{at}/there", f"{at}/moved", f"{at}/gone", "http://127.0.0.1:1/"]
    print(*unanswered({name: ["page.md"] for name in names}), sep="\\n")
    server.shutdown()
"""
    gone, away = outside(code, tmp_path).splitlines()
    assert gone.endswith("/gone: 404 File not found")
    assert away.startswith("page.md: http://127.0.0.1:1/: ")


def test_a_style_sheet_fetches_nothing(site: Path) -> None:
    """Fonts and pictures come with the site."""
    (site / "style.css").write_text("@font-face { src: url('https://fonts.example/x.woff') }")
    assert "style.css loads https://fonts.example/x.woff from elsewhere" in complaints(site)


def test_every_document_is_a_page_once(tmp_path: Path) -> None:
    """Laid out, with the text that it has in the repository and no second copy of it."""
    run("from pathlib import Path\nfrom tree import lay_out\nlay_out(Path(sys.argv[1]))", tmp_path)
    pages = tmp_path / "pages"
    glossary = (ROOT / "docs/glossary.md").read_text()
    assert (pages / "glossary.md").read_text() == glossary
    assert (
        "](../files/deploy/monitoring/alerts.yaml)"
        in (pages / "operations/monitoring.md").read_text()
    )
    assert "](../packages/juststorage-api.md#access)" not in (pages / "security.md").read_text()
    assert "](packages/juststorage-api.md#access)" in (pages / "security.md").read_text()
    steps = (pages / "incidents/disk-full.md").read_text()
    assert "fallocate" not in steps, "what only the test does is not shown"
