"""The application against the real service, in memory."""

from __future__ import annotations

import httpx2
import pytest
from juststorage_api.testing import InProcess

from knowledge_base import Articles, Conflict


async def test_an_article_comes_back(articles: Articles) -> None:
    """What was written is read, under names with any characters."""
    version = await articles.write("how to/ask?.md", "# Ask", title="Asking")
    article = await articles.read("how to/ask?.md")
    assert article is not None
    assert (article.text, article.version) == ("# Ask", version)


async def test_there_is_none(articles: Articles) -> None:
    """A missing article is no error."""
    assert await articles.read("none.md") is None


async def test_two_at_once(articles: Articles) -> None:
    """Of two who rewrite the same state, the second is told."""
    await articles.write("a.md", "one", title="A")
    seen = await articles.read("a.md")
    assert seen is not None
    await articles.rewrite(seen, "two")
    with pytest.raises(Conflict):
        await articles.rewrite(seen, "three")
    now = await articles.read("a.md")
    assert now is not None and now.text == "two"


async def test_by_title(articles: Articles) -> None:
    """Titles are found, and wildcards in them are letters."""
    await articles.write("a.md", "one", title="100%")
    await articles.write("b.md", "two", title="1000")
    assert await articles.titled("100%") == ["a.md"]


async def test_another_team(storage: InProcess, articles: Articles) -> None:
    """The key of one team is no use for the articles of another."""
    await articles.write("a.md", "one", title="A")
    blue = await storage.make_key(tenants=["blue"])
    async with storage.client(blue) as client:
        with pytest.raises(httpx2.HTTPStatusError, match="403"):
            await Articles(client, "red").read("a.md")
