"""A pytest plugin that authors opt in to: `pytest_plugins = ["juststorage.testing.fixtures"]`.

A conftest may import its fixtures instead. There is no assert in here, and with the next word
pytest does not mind in which of the two ways the module came first: PYTEST_DONT_REWRITE.
"""

from __future__ import annotations

import pytest

from juststorage.testing import FakeClock
from juststorage.testing._report import pytest_runtest_makereport, pytest_terminal_summary
from juststorage.testing.contracts import Contract

__all__ = [
    "anyio_backend",
    "fake_clock",
    "pytest_itemcollected",
    "pytest_runtest_makereport",
    "pytest_terminal_summary",
]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """JustStorage runs on asyncio."""
    return "asyncio"


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that moves when told."""
    return FakeClock()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Make the known failures of a contract strict xfails."""
    owner = getattr(item, "cls", None)
    if isinstance(owner, type) and issubclass(owner, Contract):
        name = getattr(item, "originalname", item.name)
        reason = owner.known_failures.get(name)
        if reason is not None:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
