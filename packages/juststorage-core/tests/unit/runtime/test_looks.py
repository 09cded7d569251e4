"""Looks that end in time, also where nothing cuts off what they wait for."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import anyio
import anyio.to_thread
import pytest

from juststorage.errors import Misconfigured, Unavailable
from juststorage.runtime._looks import Checked, Look, all_in_time

FINE = Checked(check="a", state="ok", found="it is there")
LIMIT_S = 1.0


@pytest.fixture
def hang() -> Iterator[Callable[[], bool]]:
    """A call that returns when the test is over, and not before."""
    over = threading.Event()
    yield over.wait
    over.set()


def closing(call: Callable[[], object]) -> AbstractAsyncContextManager[None]:
    """What makes a call when it is left, in a thread."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[None]:
        yield None
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(call)

    return opened()


async def fine(look: Look) -> None:
    """It finds something, at once."""
    look.tell(FINE)


def said(*looks: Look) -> list[tuple[str, str, str]]:
    """Each finding."""
    found = all_in_time(looks, LIMIT_S)
    return [(each.check, each.state, each.found) for each in found]


SILENT = ("b", "failed", "no answer within 1 s")
THERE = ("a", "ok", "it is there")


def test_what_hangs_in_a_thread(hang: Callable[[], bool]) -> None:
    """It is left to itself, whether it would take a cancellation or not."""

    async def waits(look: Look) -> None:
        await anyio.sleep_forever()

    async def in_a_thread(look: Look) -> None:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(hang)

    async def in_the_loop(look: Look) -> None:
        hang()

    looks = [Look("b", each) for each in (waits, in_a_thread, in_the_loop)]
    assert said(*looks, Look("a", fine)) == [SILENT, SILENT, SILENT, THERE]


def test_what_is_known_is_told(hang: Callable[[], bool]) -> None:
    """What was found before it hung stays; what hangs while it closes does not answer either."""

    async def closes(look: Look) -> None:
        async with closing(hang):
            look.tell(FINE)

    assert said(Look("b", closes)) == [THERE, SILENT]


def test_what_is_seen_through_another(hang: Callable[[], bool]) -> None:
    """It has a name of its own, also where it hangs; what fails does not keep the rest away."""

    async def fails() -> None:
        raise Misconfigured("it is wrong")

    async def hangs() -> None:
        hang()

    async def looks(look: Look) -> None:
        await look.through("a", fails)
        look.tell(FINE)
        await look.through("b", hangs)

    assert said(Look("c", looks)) == [("a", "failed", "it is wrong"), THERE, SILENT]


def test_a_quiet_look(hang: Callable[[], bool]) -> None:
    """It says what it finds, and not what keeps it from that."""

    async def hangs(look: Look) -> None:
        look.tell(FINE)
        hang()

    async def fails(look: Look) -> None:
        raise Misconfigured("it is wrong")

    assert said(Look("b", hangs, quiet=True), Look("b", fails, quiet=True)) == [THERE]


@pytest.mark.parametrize(
    ("error", "words", "to_do"),
    [
        (Unavailable("it is away"), "it is away", "can be reached"),
        (Misconfigured("it is wrong"), "it is wrong", "change what it says"),
        (ZeroDivisionError("x"), "could not be opened: ZeroDivisionError: x", "authors"),
    ],
)
def test_what_fails(error: Exception, words: str, to_do: str) -> None:
    """What to do depends on whose fault it is."""

    async def fails(look: Look) -> None:
        raise error

    [found] = all_in_time([Look("b", fails)], 60.0)
    assert (found.check, found.state, found.found) == ("b", "failed", words)
    assert to_do in str(found.to_do)
