"""Lay out the sources of the site: each document of the repository once, under its address.

What is in `docs` keeps its place; the README of another folder becomes the page of that folder,
such as `packages/juststorage-api`. Nothing is written twice: links between documents are turned
into links between pages, and other files that a document names are brought along under `files`.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

__all__ = ["Unplaced", "lay_out", "sources"]

ROOT = Path(__file__).parents[2]
LOOKS = PurePosixPath("docs/site")
"""The configuration, the theme's changes and the style sheet: no pages."""

NO_PAGES = re.compile(r"docs/site/|.*/changes/|.*CHANGELOG\.md|docs/adr/0000-")
_FENCE = re.compile(r"^(?P<ticks> *`{3,})(?P<word>\w*)(?P<rest>[^`\n]*)$")
_LINK = re.compile(r"\]\((?!\w+:|#)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
_COMMENT = re.compile(r"<!--.*?-->\n?", re.DOTALL)


class Unplaced(Exception):
    """A document or a link has no place in the site."""


def sources() -> dict[PurePosixPath, PurePosixPath]:
    """Each document of the repository -> its place among the pages."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    found: dict[PurePosixPath, PurePosixPath] = {}
    for name in sorted(listing.splitlines()):
        path = PurePosixPath(name)
        place = None if NO_PAGES.match(name) else _place(path)
        if place and (ROOT / path).is_file():
            found[path] = place
    return found


def lay_out(directory: Path) -> Path:
    """Write the pages and the configuration into a directory; what is unchanged stays untouched.

    Returns:
        The configuration's file, for the site generator.

    Raises:
        Unplaced: A link leads nowhere, or a page is nowhere in the navigation.
    """
    places = sources()
    pages = directory / "pages"
    written: set[Path] = set()
    for source, place in places.items():
        text, named = _page(source, place, places)
        written.add(_write(pages / place, text.encode()))
        for file in named:
            written.add(_write(pages / "files" / file, (ROOT / file).read_bytes()))
    for asset in (ROOT / LOOKS / "assets").iterdir():
        written.add(_write(pages / "assets" / asset.name, asset.read_bytes()))
    drawing = files("mermaidx") / "assets/mermaid.js"
    written.add(_write(pages / "assets/mermaid.js", drawing.read_bytes()))
    for path in [path for path in pages.rglob("*") if path.is_file()]:
        if path not in written:
            path.unlink()
    for part in (ROOT / LOOKS / "theme").iterdir():
        _write(directory / "theme" / part.name, part.read_bytes())
    config = yaml.safe_load((ROOT / LOOKS / "mkdocs.yml").read_text())
    config["nav"] = _navigation(config["nav"], {str(place) for place in places.values()})
    target = directory / "mkdocs.yml"
    _write(target, yaml.safe_dump(config, sort_keys=False, allow_unicode=True).encode())
    return target


def _place(path: PurePosixPath) -> PurePosixPath | None:
    """The page of a document; None for documents that are none."""
    if path.parts[0] == "docs":
        inside = path.relative_to("docs")
        return inside.with_name("index.md") if path.name == "README.md" else inside
    if path.name != "README.md":
        return None
    return PurePosixPath(f"{path.parent}.md" if path.parent.name else "repository.md")


def _page(
    source: PurePosixPath, place: PurePosixPath, places: Mapping[PurePosixPath, PurePosixPath]
) -> tuple[str, list[PurePosixPath]]:
    """The text of a page, and the files that it names."""
    named: list[PurePosixPath] = []

    def turned(match: re.Match[str]) -> str:
        found = _resolved(source, match["target"])
        if found in places:
            to = places[found]
        elif found / "README.md" in places:
            to = places[found / "README.md"]
        elif (ROOT / found).is_file():
            named.append(found)
            to = PurePosixPath("files") / found
        else:
            raise Unplaced(f"{source}: {match['target']} is neither a page nor a file")
        return f"]({os.path.relpath(to, place.parent)}{match['anchor'] or ''})"

    text = _COMMENT.sub("", (ROOT / source).read_text(encoding="utf-8"))
    lines: list[str] = []
    closing = ""
    for line in text.splitlines():
        fence = _FENCE.match(line)
        if closing:
            lines.append(line)
            closing = "" if line == closing else closing
        elif fence:
            closing = fence["ticks"]
            lines.append(f"{closing}{fence['word']}{_title(fence['rest'])}")
        else:
            lines.append(_LINK.sub(turned, line))
    return "\n".join(lines) + "\n", named


def _title(options: str) -> str:
    """What those who follow a document must know of a block, as those who read it should."""
    named = re.search(r"\bfile=(\S+)", options)
    return f' title="{named[1]}"' if named else ""


def _resolved(source: PurePosixPath, target: str) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(source.parent / target))


def _write(path: Path, content: bytes) -> Path:
    if not path.is_file() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return path


def _navigation(entries: list[Any], places: set[str]) -> list[Any]:
    """The navigation, with `folder/*` replaced by the pages of it that nothing else names."""
    named = set(_named(entries))
    if missing := sorted(each for each in named - places if not _is_rest(each)):
        raise Unplaced(f"the navigation names what is no page: {', '.join(missing)}")
    rest = places - named

    def expanded(entry: Any) -> Iterator[Any]:
        if isinstance(entry, dict):
            for title, below in entry.items():
                if isinstance(below, list):
                    yield {title: [each for item in below for each in expanded(item)]}
                else:
                    yield {title: below}
        elif _is_rest(entry):
            folder = PurePosixPath(entry).parent
            for each in sorted(place for place in rest if PurePosixPath(place).parent == folder):
                rest.discard(each)
                yield each
        else:
            yield entry

    result = [each for entry in entries for each in expanded(entry)]
    if rest:
        raise Unplaced(f"nowhere in the navigation of docs/site/mkdocs.yml: {sorted(rest)}")
    return result


def _is_rest(entry: object) -> bool:
    return PurePosixPath(str(entry)).name == "*"


def _named(entries: list[Any]) -> Iterator[str]:
    for entry in entries:
        for below in entry.values() if isinstance(entry, dict) else [entry]:
            if isinstance(below, list):
                yield from _named(below)
            else:
                yield str(below)
