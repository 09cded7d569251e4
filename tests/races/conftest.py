"""A world for each race on each store that can have it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from juststorage.testing.fixtures import anyio_backend  # noqa: F401
from juststorage_postgres.testing import *  # noqa: F403
from tests.races.stores import LEFT_OUT, STORES, Tools
from tests.races.world import World


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Each test runs on every store that can have it."""
    if "kind" in metafunc.fixturenames:
        name = metafunc.function.__name__
        left_out = {
            store for begin, why in LEFT_OUT.items() if name.startswith(begin) for store in why
        }
        metafunc.parametrize("kind", [store for store in STORES if store not in left_out])


@pytest.fixture
def exit_stack() -> Iterator[ExitStack]:
    """Closed when everything that a test opened is closed."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def tools(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> Tools:
    """The database of a test, empty."""
    return STORES[kind](tmp_path, request.getfixturevalue)


@pytest.fixture
def plugins() -> list[object]:
    """Plugins of a test, besides the installed ones."""
    return []


@pytest.fixture
def blob_backend(tools: Tools) -> str:
    """The backend of both storage classes."""
    return tools.blobs


@pytest.fixture
async def world(
    kind: str, tools: Tools, tmp_path: Path, plugins: list[object], blob_backend: str
) -> AsyncIterator[World]:
    """A world without processes; at the end of the test every promise is checked."""
    made = World(
        kind=kind,
        config={
            "data_dir": str(tmp_path),
            "metadata": tools.metadata(),
            "blobs": {name: {"backend": blob_backend} for name in ("hot", "cold")},
            "auth": {"chain": []},
        },
        root=tmp_path,
        shared=kind != "memory",
        tools=tools,
        plugins=plugins,
    )
    try:
        yield made
        await made.check()
    finally:
        await made.stop()
