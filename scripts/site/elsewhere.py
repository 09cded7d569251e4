"""Links that lead elsewhere: whether they are well formed, and whether they answer.

The second question needs a network, so nobody asks it by default; see `scripts/docs links`.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

__all__ = ["elsewhere", "malformed", "unanswered"]

_TIMEOUT_S = 20
_AT_ONCE = 4
_LINK = re.compile(r"\]\((?P<inline>\w+://[^)\s]*)[^)]*\)|<(?P<auto>\w+://[^>]*)>")
_FENCED = re.compile(r"^( *)```.*?^\1```$", re.MULTILINE | re.DOTALL)
_HOST = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")
# A service that the reader has started, which is no link of ours to check.
_READERS = re.compile(r"https?://(?:127\.0\.0\.1|localhost)(?::\d+)?/")
# For examples, by RFC 2606: whoever links there has forgotten something.
_RESERVED = re.compile(r"(?:^|\.)(?:example|test|invalid|internal)(?:\.(?:com|net|org))?$")


def elsewhere(root: Path, documents: Iterable[PurePosixPath]) -> dict[str, list[str]]:
    """Each link that leads elsewhere -> the documents that have it."""
    found: dict[str, list[str]] = {}
    for document in documents:
        text = _FENCED.sub("", (root / document).read_text(encoding="utf-8"))
        for match in _LINK.finditer(text):
            link = match["inline"] or match["auto"]
            if not _READERS.match(link):
                found.setdefault(link, []).append(str(document))
    return found


def malformed(links: Mapping[str, list[str]]) -> Iterator[str]:
    """What is wrong with them, a sentence each; asks nobody."""
    for link, documents in links.items():
        try:
            parts = urlsplit(link)
            port = parts.port
        except ValueError as error:
            yield f"{documents[0]}: {link}: {error}"
            continue
        host = parts.hostname or ""
        for wrong, why in (
            (parts.scheme != "https", "is not https"),
            (not _HOST.fullmatch(host), "has no name of a host"),
            (bool(_RESERVED.search(host)), "is a name for examples"),
            (parts.username is not None or port is not None, "has a user or a port"),
            (not link.isascii() or re.search(r"[\s\"\\^`{|}]", link) is not None, "is not escaped"),
        ):
            if wrong:
                yield f"{documents[0]}: {link} {why}"


def unanswered(links: Mapping[str, list[str]]) -> list[str]:
    """Fetch each, and follow where it has moved to; what is wrong, a sentence each."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = pool.map(_fetch, links)
        return [
            f"{documents[0]}: {link}: {answer}"
            for (link, documents), answer in zip(links.items(), answers, strict=True)
            if answer
        ]


def _fetch(link: str) -> str | None:
    """Why it does not lead to a page."""
    # Some refuse whoever says that he is a program, and some who does not say what he is.
    fields = {"User-Agent": "Mozilla/5.0 (compatible; link check)", "Accept": "*/*"}
    request = urllib.request.Request(link, headers=fields)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        error.close()
        return f"{error.code} {error.reason}"
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    return None
