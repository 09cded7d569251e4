"""Tests that run whole processes are not measured: what covers a package are tests of its parts.

Coverage makes servers and commands start half as fast; and a line that only they reach says nothing
of whether anybody has looked at what it does.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

_HERE: Final = Path(__file__).parent
_MEASURED: Final = {"integration", "races", "tracing"}
_CONFIG: Final = "COVERAGE_PROCESS_CONFIG"
"""By this coverage reaches processes that a test starts."""


def _is_measured(path: Path) -> bool:
    if not path.is_relative_to(_HERE):
        return True
    return path.relative_to(_HERE).parts[0] in _MEASURED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Switch it off in this process."""
    for item in items:
        if not _is_measured(item.path):
            item.add_marker("no_cover")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Switch it off in others, those of fixtures too."""
    if _is_measured(item.path) or _CONFIG not in os.environ:
        return (yield)
    config = os.environ.pop(_CONFIG)
    try:
        return (yield)
    finally:
        os.environ[_CONFIG] = config
