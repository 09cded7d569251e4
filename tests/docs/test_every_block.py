"""Whatever a document shows that can be typed or written is done by a test, or says why not."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from scripts.follow_tutorial import Block, Stumbled, blocks, follow
from tests.docs.test_followed_pages import FOLLOWED, ROOT
from tests.docs.test_snippets import DOCUMENTS

# Written from the code, and compared with it. Their examples are run apart from each other, by
# test_commands_of_the_reference.py and test_calls_of_the_reference.py.
GENERATED = {
    *(f"docs/reference/{name}.md" for name in ("commands", "configuration", "http")),
    *(f"docs/plugins/{path.name}" for path in (ROOT / "docs/plugins").glob("*_*.md")),
    *(f"docs/plugins/{name}.md" for name in ("authenticator", "command", "common", "hasher")),
}
# Added to only by somebody who has tried to have it run.
NOT_RUN = {
    "deploy/README.md": 2,
    "docs/plugins/publishing.md": 1,
    "docs/plugins/versions.md": 1,
    "docs/reliability.md": 1,
}
SHOWN = {"text", "mermaid", ""}
_COMMAND = re.compile(r"(?m)^\s*(?:juststorage|curl|pip|python3?|createdb|scripts/\w+) ")


def found(document: Path) -> list[Block]:
    """The blocks of a document which are more than a picture."""
    all_of_them = blocks((ROOT / document).read_text(encoding="utf-8"))
    return [each for each in all_of_them if each.word not in SHOWN]


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_every_block_is_done_by_a_test(document: Path) -> None:
    """By one that follows the page, or by the one that is named above it."""
    if str(document) in GENERATED:
        return
    for block in found(document):
        how, what = block.passed_over or ("followed", "")
        if how == "followed":
            assert str(document) in FOLLOWED, f"line {block.line}: nobody does it"
        elif how == "run by":
            assert (ROOT / what).is_file(), f"line {block.line}: there is no {what}"


def test_what_is_not_run_is_counted() -> None:
    """One more is a decision, made here."""
    counts = {
        str(document): len(skipped)
        for document in DOCUMENTS
        if (skipped := [b for b in found(document) if (b.passed_over or "?")[0] == "not run"])
    }
    assert counts == NOT_RUN


@pytest.mark.parametrize("document", DOCUMENTS, ids=str)
def test_no_command_is_disguised_as_a_picture(document: Path) -> None:
    """A block that is only looked at has nothing in it that somebody would type."""
    if str(document) in GENERATED:
        return
    for block in blocks((ROOT / document).read_text(encoding="utf-8")):
        if not block.word:
            assert _COMMAND.search(block.text) is None, f"line {block.line}"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```sh\nfalse\n```", "ended with 1"),
        ("```toml\n[server]\nport = 'x'\n```", "ended with 2"),
        ("```ini\na = 1\n```", "nobody checks a block `ini`"),
        ("```sh\necho a\n```\n\n```text\nb\n```", "not said: b"),
    ],
)
def test_what_is_wrong_is_heard(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, complaint: str
) -> None:
    """Each kind of block can fail, and none that is said to be done elsewhere."""
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    with pytest.raises(Stumbled, match=complaint):
        follow(text, tmp_path)
    follow(f"<!-- not run: it is wrong -->\n{text}".replace("\n\n```text\nb\n```", ""), tmp_path)
