"""One caller finds out whether a server is silent, for all."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from time import monotonic

import anyio
import pytest

from juststorage_postgres._silence import Silence


class Server:
    """Counts who looks at it; answers, is silent, or keeps them waiting."""

    def __init__(self) -> None:
        self.looks = 0
        self.is_silent = False
        self.may_answer = anyio.Event()
        self.may_answer.set()
        self.is_looked_at = anyio.Event()

    async def __call__(self) -> None:
        self.looks += 1
        self.is_looked_at.set()
        await self.may_answer.wait()
        if self.is_silent:
            raise TimeoutError


def no_one() -> list[bool]:
    """Nobody has been told anything yet."""
    return []


async def outcome(check: Callable[[], Awaitable[None]], told: list[bool]) -> None:
    """Whether the check let its caller through."""
    try:
        await check()
    except TimeoutError:
        told.append(False)
    else:
        told.append(True)


async def test_a_server_that_nobody_suspects_is_not_looked_at() -> None:
    """The ordinary case costs nothing."""
    server = Server()
    await Silence(server).check()
    assert server.looks == 0


@pytest.mark.parametrize("is_silent", [True, False])
async def test_one_look_for_all(is_silent: bool) -> None:
    """Who comes while somebody looks waits for what is found, and looks no further."""
    server, told = Server(), no_one()
    server.is_silent, server.may_answer = is_silent, anyio.Event()
    silence = Silence(server)
    silence.suspect()
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(outcome, silence.check, told)
        await server.is_looked_at.wait()
        assert told == []
        server.may_answer.set()
    assert told == [not is_silent] * 5
    assert server.looks == 1


async def test_a_silent_server_is_looked_at_again() -> None:
    """At once nobody looks again, later one does, and then everything is as before."""
    server = Server()
    server.is_silent = True
    silence = Silence(server)
    silence.suspect()
    for _ in range(3):
        with pytest.raises(TimeoutError):
            await silence.check()
    assert server.looks == 1
    server.is_silent = False
    silence._again_at = 0
    for _ in range(3):
        await silence.check()
    assert server.looks == 2


async def test_those_who_come_while_a_silent_server_is_looked_at_do_not_wait() -> None:
    """Its silence is known; whether it is over, the one who looks will tell."""
    server, told = Server(), no_one()
    server.is_silent = True
    silence = Silence(server)
    silence.suspect()
    await outcome(silence.check, told)
    silence._again_at = 0
    server.may_answer, server.is_looked_at = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(outcome, silence.check, told)
        await server.is_looked_at.wait()
        await outcome(silence.check, told)
        assert told == [False, False]
        server.is_silent = False
        server.may_answer.set()
    assert told == [False, False, True]


async def test_a_look_that_is_cancelled() -> None:
    """It has found out nothing: one of those who waited for it looks in its place."""
    server, told = Server(), no_one()
    server.may_answer = anyio.Event()
    silence = Silence(server)
    silence.suspect()
    async with anyio.create_task_group() as tasks:
        async with anyio.create_task_group() as first:
            first.start_soon(outcome, silence.check, told)
            await server.is_looked_at.wait()
            tasks.start_soon(outcome, silence.check, told)
            first.cancel_scope.cancel()
        server.may_answer.set()
    assert told == [True]
    assert server.looks == 2


async def test_a_silent_server_leaves_no_connection_that_is_trusted() -> None:
    """Whatever was opened before it spoke again may have been forgotten meanwhile."""
    server = Server()
    silence = Silence(server)
    silence.suspect()
    await silence.check()
    assert silence.found_at == 0
    server.is_silent = True
    silence.suspect()
    opened_at = monotonic()
    with pytest.raises(TimeoutError):
        await silence.check()
    assert silence.found_at >= opened_at
