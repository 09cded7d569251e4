"""A pytest plugin to opt in to: `pytest_plugins = ["juststorage_api.testing.fixtures"]`.

Tests are coroutines and run under anyio's own plugin, which comes with anyio.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from juststorage.testing.fixtures import anyio_backend
from juststorage_api.testing import InProcess, open_in_process

__all__ = ["anyio_backend", "storage"]


@pytest.fixture
async def storage(anyio_backend: str) -> AsyncIterator[InProcess]:
    """An empty service in memory, this test's alone."""
    async with open_in_process() as service:
        yield service
