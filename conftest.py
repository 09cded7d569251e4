"""What holds for every test of this repository: nothing that is said there is a secret.

And what tests can be told: `--some` keeps a few of each module, each in its first variant, where
the question is whether they can run at all, and others have asked the rest.
"""

from __future__ import annotations

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

_SECRETS: Final = re.compile(
    # Keys that the service issues, tokens, passwords in database URLs, and the keys that tests
    # give to services.
    r"js_[0-9a-z]{12}_[\w-]{43}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"
    r"|the-key-of-these-tests-only"
    r"|k{32}"
    # Not the one that says what a URL looks like.
    r"|postgres(?:ql)?://(?!user:password@host)[^\s:/@]+:[^\s:/@]+@"
)
_SAID: Final = ("Captured log", "Captured stderr", "Captured stdout")

_TELLING: Final = re.compile(r"keys create|/v1/api-keys")

_SOME: Final = 3

_heard: list[str] = []
"""What processes said to the test that runs, through pipes that it read itself."""


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


def pytest_configure() -> None:
    """Listen to what tests read from processes: pytest captures none of it."""
    communicate = subprocess.Popen.communicate

    def heard(process: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        output, errors = communicate(process, *args, **kwargs)
        # What is there to tell a key, once, to whom it is for.
        tells = _TELLING.search(_words(process)) is not None
        _heard.extend(
            said if isinstance(said, str) else said.decode(errors="replace")
            for said in ((errors,) if tells else (output, errors))
            if said
        )
        return output, errors

    subprocess.Popen.communicate = heard  # type: ignore[method-assign]


def _words(process: subprocess.Popen[Any]) -> str:
    words = process.args
    return " ".join(map(str, words)) if isinstance(words, (list, tuple)) else str(words)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Look through what each test and its processes said, and fail it where that has a secret."""
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    said = [(title, text) for title, text in report.sections if title.startswith(_SAID)]
    said += [("output of a process", text) for text in _heard]
    _heard.clear()
    for title, text in said:
        found = _SECRETS.search(text)
        if found is not None and report.passed:
            report.outcome = "failed"
            report.longrepr = f"{title}: it has a secret: {found[0][:8]}..."
    return report  # type: ignore[return-value]
