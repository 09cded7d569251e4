"""`GET /v1/admin/plugins`: what is installed, what became of it, and nothing of the inside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from juststorage.plugins import Command, hookimpl


class Broken:
    """A plugin whose words nobody may hear."""

    @hookimpl
    def juststorage_commands(self) -> Iterable[Command]:
        """Fail, and tell more than is good."""
        raise RuntimeError("no driver in /secret/path for user:hunter2")


async def test_installed_selected_and_broken_ones(started: Callable[..., Any]) -> None:
    """Each with what it serves; one that failed says so, but not in the words of its exception."""
    async with started(plugins=(Broken(),)) as app:
        start, body = await app.call("GET", "/v1/admin/plugins")
    assert start["status"] == 200
    assert b"secret" not in body["body"] and b"hunter2" not in body["body"]
    assert b"k" * 32 not in body["body"]
    plugins = {each["name"]: each for each in json.loads(body["body"])["plugins"]}
    memory = plugins["memory"]
    assert memory["status"] == "active" and memory["reason"] is None
    assert memory["distribution"] == "juststorage-core" and memory["version"]
    assert memory["provides"] == ["blob_store:memory", "metadata_store:memory"]
    assert sorted(memory["selected"]) == ["blobs.hot", "metadata"]
    assert plugins["api"]["selected"] == ["auth.api_key"]
    broken = plugins["Broken"]
    assert (broken["status"], broken["distribution"], broken["provides"]) == ("failed", None, [])
    assert "juststorage plugins check" in broken["reason"]
