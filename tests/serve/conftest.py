"""Servers on the embedded default: the harness of the HTTP interface's own tests, once more."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import pytest

HARNESS = Path(__file__).parents[2] / "packages/juststorage-api/tests/integration/serve/conftest.py"

_spec = importlib.util.spec_from_file_location("juststorage_serve_harness", HARNESS)
assert _spec is not None
assert _spec.loader is not None
_harness = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_harness)

serve = _harness.serve


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool], str], None]:
    """`eventually(condition, what)`: asks until it holds, and says what did not happen."""
    poll: Callable[[Callable[[], bool], str], None] = _harness.poll
    return poll
