"""What tests of the kit share: a run of it over modules with a bug in each."""

from __future__ import annotations

import gc
import re
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest

RUN = ("-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:cov", "-q", "--tb=short")

_TITLE = re.compile(r"^_+ (?=Test|ERROR at)", re.MULTILINE)
"""A long title leaves room for one underscore only."""


@pytest.fixture
def run_planted(
    pytester: pytest.Pytester,
) -> Callable[[Sequence[str]], tuple[dict[int, str], str]]:
    """`run_planted(tests)`: what is told of each class `TestBug<number>`, and the summary.

    All in one run: importing the kit takes longer than its tests.
    """

    def run(tests: Sequence[str]) -> tuple[dict[int, str], str]:
        pytester.makeini("[pytest]\n")
        with warnings.catch_warnings(action="ignore"):
            gc.collect()  # else what another test leaked on purpose is found in this run
        printed = pytester.runpytest_inprocess(*RUN, *tests).stdout.str()
        failures, summary = printed.split("juststorage conformance, juststorage-core ")
        told: dict[int, str] = defaultdict(str)
        for block in _TITLE.split(failures)[1:]:
            if match := re.search(r"TestBug(\d+)\.", block.splitlines()[0]):
                told[int(match[1])] += block
        return told, summary

    return run
