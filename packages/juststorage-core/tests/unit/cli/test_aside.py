"""Work in a process that may be left behind."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import pytest

from juststorage.cli._aside import Aside, Tell


def in_a_while(seconds: float = 60.0) -> Aside:
    """One that is listened to for so long."""
    return Aside(time.monotonic() + seconds)


def test_messages_come_in_their_order() -> None:
    """Whole, however they were cut into pieces, until the work ends."""
    messages = [b"one", b"x" * 200_000, b"", b"last"]

    def work(tell: Tell) -> None:
        for message in messages:
            tell(message)

    aside = in_a_while()
    assert list(aside.run(work)) == messages
    assert not aside.is_late


def test_what_does_not_end_is_left() -> None:
    """What it said before is known, and nobody waits for it."""

    def work(tell: Tell) -> None:
        tell(b"here I am")
        threading.Event().wait()

    aside = in_a_while()
    heard = []
    for message in aside.run(work):
        heard.append(message)
        aside.ends = time.monotonic()
    assert heard == [b"here I am"]
    assert aside.is_late


def test_what_it_logs_is_passed_on(capfd: pytest.CaptureFixture[Any]) -> None:
    """Also the last of it; on its standard output, which nobody reads, it may print."""

    def work(tell: Tell) -> None:
        os.write(1, b"lost")
        for _ in range(3):
            os.write(2, b"a line of the log\n" * 10_000)
            tell(b"go on")

    assert list(in_a_while().run(work)) == [b"go on"] * 3
    assert capfd.readouterr() == ("", "a line of the log\n" * 30_000)


def test_work_that_fails_ends() -> None:
    """It never comes back into this process's code; what it did not say is not there."""

    def work(tell: Tell) -> None:
        tell(b"begun")
        raise SystemExit(3)

    aside = in_a_while()
    assert list(aside.run(work)) == [b"begun"]
    assert not aside.is_late


def test_who_has_heard_enough_ends_it() -> None:
    """The child is no more, or is about to be none."""
    closed, closing = os.pipe()

    def work(tell: Tell) -> None:
        os.close(closed)
        tell(b"here I am")
        threading.Event().wait()

    running = in_a_while().run(work)
    assert next(running) == b"here I am"
    os.close(closing)  # the child has the other copy
    running.close()
    assert os.read(closed, 1) == b""
    os.close(closed)
