"""Articles: the application's view of a namespace of objects."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2

__all__ = ["Article", "Articles", "Conflict"]

_NAMESPACE = "articles"


class Conflict(Exception):
    """Somebody else has changed the article since it was read."""


@dataclass(frozen=True)
class Article:
    """An article as it was read. `version` names that state of its text."""

    name: str
    text: str
    version: str


class Articles:
    """The articles of one team.

    Args:
        client: Has the service's URL and the team's API key.
        team: The tenant.
    """

    def __init__(self, client: httpx2.AsyncClient, team: str) -> None:
        self._client = client
        self._team = team

    async def write(self, name: str, text: str, *, title: str) -> str:
        """Write an article, or write it anew; its version."""
        answer = await self._client.put(
            self._url(name),
            content=text.encode(),
            headers={
                "Content-Type": "text/markdown",
                "X-Object-Metadata": json.dumps({"title": title}),
            },
        )
        answer.raise_for_status()
        return str(answer.headers["ETag"])

    async def rewrite(self, article: Article, text: str) -> str:
        """Write it anew unless somebody else has; its new version.

        Raises:
            Conflict: Somebody has.
        """
        answer = await self._client.put(
            self._url(article.name),
            content=text.encode(),
            headers={"Content-Type": "text/markdown", "If-Match": article.version},
        )
        if answer.status_code == httpx2.codes.PRECONDITION_FAILED:
            raise Conflict(article.name)
        answer.raise_for_status()
        return str(answer.headers["ETag"])

    async def read(self, name: str) -> Article | None:
        """An article, or None where there is none."""
        answer = await self._client.get(self._url(name))
        if answer.status_code == httpx2.codes.NOT_FOUND:
            return None
        answer.raise_for_status()
        return Article(name, answer.text, answer.headers["ETag"])

    async def titled(self, title: str) -> list[str]:
        """The names of the articles with this title."""
        body: dict[str, Any] = {
            "tenant_id": self._team,
            "namespace": _NAMESPACE,
            "metadata": {"title": title},
        }
        answer = await self._client.post("/v1/objects/search", json=body)
        answer.raise_for_status()
        return [found["key"] for found in answer.json()["objects"]]

    def _url(self, name: str) -> str:
        return f"/v1/objects/by-key/{_NAMESPACE}/{self._team}/{quote(name)}"
