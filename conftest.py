"""What holds for every test of this repository, and what tests can be told.

Nothing that is said in a test is a secret. `--some` keeps a few tests of each module, each in its
first variant, where the question is whether they can run at all, and others have asked the rest.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import pytest

pytest_plugins = ["tests.inheriting", "tests.listening"]

_SOME: Final = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Take `--some`."""
    told = f"at most {_SOME} tests of each module, each in its first variant"
    parser.addoption("--some", action="store_true", help=told)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep some of each module where that is asked for."""
    if not config.getoption("some"):
        return
    kept: defaultdict[Path, dict[str, pytest.Item]] = defaultdict(dict)
    for item in items:
        tests = kept[item.path]
        name = item.nodeid.partition("[")[0]
        if len(tests) < _SOME:
            tests.setdefault(name, item)
    chosen = {item for tests in kept.values() for item in tests.values()}
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = [item for item in items if item in chosen]
