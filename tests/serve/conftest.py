"""Servers on the embedded default: the harness of the HTTP interface's own tests, once more."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness import poll, serve

__all__ = ["eventually", "serve"]


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """`eventually(condition, what)`: asks until it holds, and says what did not happen."""
    asks: Callable[[Callable[[], bool], str], None] = poll
    return asks
