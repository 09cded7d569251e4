"""Every process that a test starts inherits the same signals: none blocked, none newly ignored.

A plugin of pytest, which the conftest.py of this repository loads. A command that is run within
this process may change what is blocked, and means to end with its process. Here it does not, and
every process that a later test starts is deaf to SIGTERM: a collector that a torture experiment
told to end once went on for ever, for what a test of another module had left.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

__all__ = ["Inherited"]


class Inherited:
    """What a process that is started now would inherit of signals."""

    def __init__(self) -> None:
        self._blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        self._handlers = {signum: signal.getsignal(signum) for signum in signal.valid_signals()}

    def restore(self) -> list[str]:
        """Make it so again; what would have been inherited besides."""
        blocked = signal.pthread_sigmask(signal.SIG_SETMASK, self._blocked) - self._blocked
        left = [f"{signal.Signals(signum).name} blocked" for signum in blocked]
        for signum, handler in self._handlers.items():
            if signal.SIG_IGN == signal.getsignal(signum) != handler:
                signal.signal(signum, handler)
                left.append(f"{signal.Signals(signum).name} ignored")
        return left


_KEY = pytest.StashKey[Inherited]()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Look before the fixtures of a test."""
    item.stash[_KEY] = Inherited()
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Fail a test that leaves them otherwise, and leave them as they were."""
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    if call.when == "call":
        left = item.stash[_KEY].restore()
        if left and report.passed:
            report.outcome = "failed"
            report.longrepr = f"processes of later tests would inherit: {', '.join(left)}"
    return report  # type: ignore[return-value]
