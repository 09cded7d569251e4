"""Looking for what blocks an event loop: found where it is, and nothing found where it is not."""

from __future__ import annotations

import threading
import time

import anyio
import pytest

from juststorage.testing import _loop_watch
from juststorage.testing._loop_watch import LoopWatch

pytest_plugins = ["juststorage.testing.fixtures"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often, and report soon."""
    monkeypatch.setattr(_loop_watch, "BLOCKED_S", 0.1)
    monkeypatch.setattr(_loop_watch, "_LOOK_S", 0.01)


async def test_a_lock_that_nobody_gives_back_is_found() -> None:
    """Whoever waits for a thread on the loop is told by file, line and function."""
    watch, lock = LoopWatch(), threading.Lock()
    with watch.watching(), lock:
        assert not lock.acquire(timeout=0.5)
    assert len(watch.found) == 1
    assert "test_loop_watch.py" in watch.found[0]
    assert "test_a_lock_that_nobody_gives_back_is_found" in watch.found[0]


async def test_a_loop_that_computes_or_has_nothing_to_do_is_not_blocked() -> None:
    """A busy thread gets on with it, and an idle loop waits for others, as it should."""
    watch = LoopWatch()
    with watch.watching():
        until = time.monotonic() + 0.3
        while time.monotonic() < until:
            pass
        await anyio.to_thread.run_sync(threading.Event().wait, 0.3)
    assert watch.found == []
