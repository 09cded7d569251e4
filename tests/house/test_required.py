"""Continuous integration knows what only some machines have: no test is skipped unseen."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.house_rules import tracked_files

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"do_without\(\s*(?:\"(\w+)\"|_PROGRAM)")


def test_everything_that_a_test_may_do_without_can_be_required() -> None:
    """A new name is added where the variable is set, or its tests could be skipped for ever."""
    sources = [path.read_text() for path in tracked_files() if path.suffix == ".py"]
    names = {match[1] or "pgbouncer" for text in sources for match in NAMED.finditer(text)}
    [told] = re.findall(r"JUSTSTORAGE_TEST_REQUIRE=([\w,]+)\.", (ROOT / ".ci/run").read_text())
    assert names == set(told.split(","))
