"""Requests under way, and the lifespan around them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from juststorage.errors import Unavailable
from juststorage_api._serve._in_flight import InFlight
from juststorage_api._serve._lifespan import lifespan

pytest_plugins = ["juststorage.testing.fixtures"]


class Wire:
    """The server's side of one request: what the application sent, as a server takes it."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(self, message: Any) -> None:
        started = any(each["type"] == "http.response.start" for each in self.sent)
        if message["type"] == "http.response.start" and started:
            raise RuntimeError("Response already started")
        self.sent.append(dict(message))


async def start(application: Any, wire: Wire) -> None:
    """Make a request."""
    await application({"type": "http"}, wire.receive, wire.send)


class TestInFlight:
    async def test_waiting_for_requests(self) -> None:
        """`wait_idle` returns when the last request is over, not when its answer has left."""
        release = anyio.Event()

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            await release.wait()

        in_flight = InFlight(application)
        await in_flight.wait_idle()
        idle = anyio.Event()

        async def wait() -> None:
            await in_flight.wait_idle()
            idle.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, in_flight, Wire())
            tasks.start_soon(start, in_flight, Wire())
            await anyio.wait_all_tasks_blocked()
            assert len(in_flight) == 2
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            assert not idle.is_set()
            release.set()
        assert idle.is_set()
        assert len(in_flight) == 0

    async def test_a_cut_request_may_answer_yet(self) -> None:
        """It is cancelled when time is up, and what it says then arrives; nothing is raised."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            try:
                await anyio.sleep_forever()
            except asyncio.CancelledError:
                await send({"type": "http.response.start", "status": 503})
                raise

        in_flight, wire = InFlight(application), Wire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, in_flight, wire)
            await anyio.wait_all_tasks_blocked()
            in_flight.cut()
        assert [message["status"] for message in wire.sent] == [503]
        assert len(in_flight) == 0

    async def test_an_answer_that_has_begun_breaks_off(self) -> None:
        """Nothing is appended to an answer in the middle: the client must see that it is broken."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            await anyio.sleep_forever()

        in_flight, wire = InFlight(application), Wire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, in_flight, wire)
            await anyio.wait_all_tasks_blocked()
            in_flight.cut()
        assert [message.get("body") for message in wire.sent] == [None, b"half"]

    async def test_other_cancellations_are_not_swallowed(self) -> None:
        """A request that is cancelled for another reason is cancelled."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await anyio.sleep_forever()

        in_flight, wire = InFlight(application), Wire()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(start, in_flight, wire)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        assert wire.sent == []
        assert len(in_flight) == 0

    async def test_errors_pass(self) -> None:
        """An application's error is the server's business."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            raise ZeroDivisionError

        in_flight = InFlight(application)
        with pytest.raises(ZeroDivisionError):
            await start(in_flight, Wire())
        assert len(in_flight) == 0


def living(
    events: list[str], *, fails: str | None = None, raises: str | None = None
) -> Callable[..., Any]:
    """An application that writes its lifespan down, and fails or raises in a phase."""

    async def application(scope: Any, receive: Any, send: Any) -> None:
        assert scope["type"] == "lifespan"
        for phase in ("startup", "shutdown"):
            message = await receive()
            assert message["type"] == f"lifespan.{phase}"
            events.append(phase)
            if raises == phase:
                raise KeyError(phase)
            if fails == phase:
                await send({"type": f"lifespan.{phase}.failed", "message": f"{phase} is broken"})
                return
            await send({"type": f"lifespan.{phase}.complete"})

    return application


class TestLifespan:
    @pytest.mark.parametrize("phase", ["startup", "shutdown"])
    async def test_a_reported_failure(self, phase: str) -> None:
        """What the application reports comes out in its words."""
        with pytest.raises(Unavailable, match=f"{phase} is broken"):
            async with lifespan(living([], fails=phase)):
                pass

    @pytest.mark.parametrize("phase", ["startup", "shutdown"])
    async def test_a_raised_error(self, phase: str) -> None:
        """What the application raises comes out as it is."""
        with pytest.raises(KeyError):
            async with lifespan(living([], raises=phase)):
                pass

    async def test_the_block_runs_between(self) -> None:
        """Startup comes before the block, shutdown after it."""
        events: list[str] = []
        async with lifespan(living(events)):
            events.append("block")
        assert events == ["startup", "block", "shutdown"]

    async def test_an_error_of_the_block_comes_out_after_the_shutdown(self) -> None:
        """The application is shut down whatever happens, and the error is not wrapped."""
        events: list[str] = []
        with pytest.raises(ZeroDivisionError):
            async with lifespan(living(events)):
                raise ZeroDivisionError
        assert events == ["startup", "shutdown"]

    async def test_a_start_that_hangs_can_be_cancelled(self) -> None:
        """An application that never gets ready does not hold its server."""

        async def application(scope: Any, receive: Any, send: Any) -> None:
            await anyio.sleep_forever()

        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:

                async def give_up() -> None:
                    await anyio.wait_all_tasks_blocked()
                    scope.cancel()

                tasks.start_soon(give_up)
                async with lifespan(application):
                    pytest.fail("it never started")
        assert scope.cancelled_caught

    async def test_cancellation_does_not_skip_the_shutdown(self) -> None:
        """A server that is cancelled still shuts its application down."""
        events: list[str] = []
        with anyio.CancelScope() as scope:
            async with lifespan(living(events)):
                scope.cancel()
                await anyio.sleep_forever()
        assert events == ["startup", "shutdown"]
