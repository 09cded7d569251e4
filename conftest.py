"""What holds for every test of this repository: no secret of any of them is ever logged."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

import pytest

_SECRETS: Final = re.compile(
    # Keys that the service issues, tokens, passwords in database URLs, and the keys that tests
    # give to services.
    r"js_[0-9a-z]{12}_[\w-]{43}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"
    r"|the-key-of-these-tests-only"
    r"|k{32}"
    r"|postgres(?:ql)?://[^\s:/@]+:[^\s:/@]+@"
)
_LOGGED: Final = ("Captured log", "Captured stderr")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Look through what each test made the code log, and fail it where that has a secret."""
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    for title, text in report.sections:
        found = _SECRETS.search(text) if title.startswith(_LOGGED) else None
        if found is not None and report.passed:
            report.outcome = "failed"
            report.longrepr = f"{title}: it has a secret: {found[0][:8]}..."
    return report  # type: ignore[return-value]
