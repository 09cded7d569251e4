"""The HTTP application: `create_application` makes it, any ASGI server runs it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import anyio

from juststorage.errors import JustStorageError
from juststorage.runtime import Runtime
from juststorage_api._asgi import Application, Receive, Scope, Send
from juststorage_api._front import Front
from juststorage_api._meters import note_start
from juststorage_api._routes import Routes
from juststorage_api._services import Services

__all__ = ["create_application"]

_log = logging.getLogger("juststorage.api")


def create_application(open: Callable[[], AbstractAsyncContextManager[Runtime]]) -> Application:  # noqa: A002  a caller's word
    """The ASGI application of a service.

    Args:
        open: Opens the runtime. Entered when the server starts the application's lifespan and left
            when it ends it, in one task; never called otherwise.

    Returns:
        An ASGI 3 application for `http` and `lifespan`. It must be given its lifespan: requests
        before that fail. Errors while opening are told to the server as `lifespan.startup.failed`.
    """
    return _Application(open)


def _front(services: Services) -> Front:
    tracer = services.runtime.tracer
    if tracer is None:
        return Front(services, Routes(services))
    # Imported late: whoever traces nothing has nothing of it.
    from juststorage_api._traced_front import TracedFront

    return TracedFront(services, Routes(services), tracer)


class _Application:
    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[Runtime]]) -> None:
        self._open = opened
        self._front: Front | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            front = self._front
            if front is None:
                raise RuntimeError("the application's lifespan has not been started")
            await front(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1000})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        is_open = False
        try:
            async with self._open() as runtime:
                services = await Services.of(runtime)
                self._front = _front(services)
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._front.run)
                    if services.limits is not None:
                        tasks.start_soon(services.limits.run)
                    is_open = True
                    note_start(runtime.sheet, runtime.clock.now().timestamp())
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    self._front = None
                    tasks.cancel_scope.cancel()
        except Exception as error:  # noqa: BLE001  told to the server, which decides what to do
            expected = isinstance(error, JustStorageError)
            doing = "close" if is_open else "open"
            _log.error("the service did not %s: %s", doing, error, exc_info=not expected)
            message = str(error) if expected else f"the service did not {doing}"
            phase = "shutdown" if is_open else "startup"
            await send({"type": f"lifespan.{phase}.failed", "message": message})
        else:
            await send({"type": "lifespan.shutdown.complete"})
