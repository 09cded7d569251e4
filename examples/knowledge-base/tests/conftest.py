"""Every test has a service of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from juststorage_api.testing import InProcess

from knowledge_base import Articles

pytest_plugins = ["juststorage_api.testing.fixtures"]


@pytest.fixture
async def articles(storage: InProcess) -> AsyncIterator[Articles]:
    """The articles of one team, with a key that may do no more than the application needs."""
    key = await storage.make_key(tenants=["red"], scopes=["objects:read", "objects:write"])
    async with storage.client(key) as client:
        yield Articles(client, "red")
