"""Check a built site: every link and anchor leads somewhere, and nothing comes from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

__all__ = ["complaints"]

_LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src"}
_LOADING_LINKS = {"stylesheet", "icon", "preload", "modulepreload", "preconnect", "prefetch"}
_STYLE_URL = re.compile(r"url\(\s*['\"]?(?P<url>(?:https?:)?//[^'\")]+)")


@dataclass
class Page(HTMLParser):
    """What a page has and what it points at."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect it."""
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        elif tag == "link" and _LOADING_LINKS & set(found.get("rel", "").split()):
            self.loads.append(found.get("href", ""))
        elif tag in _LOADS and _LOADS[tag] in found:
            self.loads.append(found[_LOADS[tag]])


def complaints(site: Path) -> Iterator[str]:
    """Whatever is wrong with the pages in this directory, a sentence each."""
    pages = {path: _read(path) for path in sorted(site.rglob("*.html"))}
    for path, page in pages.items():
        where = path.relative_to(site)
        for load in page.loads:
            if urlsplit(load).netloc:
                yield f"{where} loads {load} from elsewhere"
            elif not load.startswith("data:") and not _file(path, load, site).is_file():
                yield f"{where} loads {load}, which is not there"
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue  # of others, for people to follow
            target = _file(path, link, site)
            if not target.is_file():
                yield f"{where}: {link} leads nowhere"
            elif unquote(parts.fragment) not in {"", *_ids(pages.get(target))}:
                yield f"{where}: {link} has no such anchor"
    for style in site.rglob("*.css"):
        for match in _STYLE_URL.finditer(style.read_text(encoding="utf-8")):
            yield f"{style.relative_to(site)} loads {match['url']} from elsewhere"


def _ids(page: Page | None) -> set[str]:
    return page.ids if page else set()


def _read(path: Path) -> Page:
    page = Page()
    page.feed(path.read_text(encoding="utf-8"))
    return page


def _file(page: Path, link: str, site: Path) -> Path:
    """The file that a link of a page means."""
    name = unquote(urlsplit(link).path)
    if not name:
        return page
    found = site / name.lstrip("/") if name.startswith("/") else page.parent / name
    found = found.resolve()
    return found / "index.html" if found.is_dir() else found
