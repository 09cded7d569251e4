"""One server process: runtime, application, Granian, and an end in which nothing is cut short.

Granian is embedded: it runs in our event loop, started and stopped by us, in the process that also
owns the runtime. That way a single worker is a single process, an error while opening is an
exception where it can be told, and the order of the end is ours: no new connections, requests
finish, the application shuts down, the runtime closes.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import uvloop

from juststorage.config import Config
from juststorage.metrics import Sheet
from juststorage.runtime import Leaving, Runtime, open_runtime
from juststorage_api._meters import table
from juststorage_api._serve._address import HeldAddress
from juststorage_api._serve._announce import announce
from juststorage_api._serve._gate import GATE_S, shut_gate
from juststorage_api._serve._granian_log import quiet_granian
from juststorage_api._serve._in_flight import InFlight
from juststorage_api._serve._lifespan import lifespan
from juststorage_api._serve._stopping import STOP_SIGNALS, Stopping
from juststorage_api._serve._unsent import bound_unsent

if TYPE_CHECKING:
    from granian.server.embed import Server

__all__ = ["Worker"]

_CUT_TIMEOUT_S = 2.0
"""For requests to leave once they were cut, and for connections to close after that."""

_BACKLOG = 2048

_LOOKS = 500
_LOOK_S = 0.01
"""How often, and how many times, it is looked whether Granian listens: five seconds in all."""

_BUFFER_BYTES = 128 * 1024
"""What Granian holds for one connection, besides the pieces of a body on their way to it. A head
that does not fit is refused by Granian itself, so there has to be room for all that we allow."""

_log = logging.getLogger("juststorage.serve")


def _nothing() -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a server process is told.

    Args:
        config: The configuration.
        address: Held by the caller.
        connections_max: More wait in the kernel until some are closed.
        admin_key: The file of the embedded default's admin key; None where there is none.
        announces: Write the first lines of the log: one worker speaks for all.
        on_ready: Called when everything is open, just before the first connection is accepted.
        parent: See `Stopping`.
        sheet: Where it counts; None makes one for it alone.
    """

    config: Config
    address: HeldAddress
    connections_max: int
    admin_key: Path | None = None
    announces: bool = True
    on_ready: Callable[[], None] = _nothing
    parent: int | None = None
    sheet: Sheet | None = None

    def run(self) -> int:
        """Serve until told to stop.

        Returns:
            The exit code: 0 after an orderly end, 1 when the service fell over.

        Raises:
            JustStorageError: It could not start.
        """
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                return runner.run(self._serve())
            finally:
                # One more signal, while loop and interpreter close, must not turn an orderly end
                # into a death, nor a refusal to start into a traceback.
                for signum in STOP_SIGNALS:
                    signal.signal(signum, signal.SIG_IGN)

    async def _serve(self) -> int:
        stopping = Stopping(self.parent)
        # Until everything is open, a signal cancels: a database that does not answer is no reason
        # to keep someone waiting. After that it is the drain's business.
        with anyio.CancelScope() as opening:
            stopping.on_ask = opening.cancel
            async with open_runtime(
                self.config,
                collect=self.config.gc.enabled,
                on_fatal=stopping.fall,
                sheet=self.sheet or table(1).worker(0),
            ) as runtime:
                runtime.refuse_ephemeral()
                await runtime.refuse_half_restored()
                await self._serve_runtime(runtime, stopping)
        if stopping.fatal is not None:
            _log.critical("stopped: %s", stopping.fatal)
            return 1
        if not opening.cancelled_caught:
            _log.info("stopped")
        return 0

    async def _serve_runtime(self, runtime: Runtime, stopping: Stopping) -> None:
        # Imported late: a wrong setting is told before the framework is loaded.
        from juststorage_api.application import create_application

        @asynccontextmanager
        async def opened() -> AsyncIterator[Runtime]:
            yield runtime

        application = InFlight(create_application(opened))
        async with lifespan(application.inner):
            if self.announces:
                announce(runtime, self.address, self.admin_key)
            _settle_memory()
            self.on_ready()
            await anyio.lowlevel.checkpoint()
            stopping.on_ask = _nothing
            await _Serving(self, application, stopping, runtime.leaving).run()
            with anyio.move_on_after(_CUT_TIMEOUT_S):
                await application.wait_idle()

    def server(self, application: Any) -> Server:
        """Granian for this worker, its settings all in sight."""
        from granian.constants import HTTPModes, Interfaces
        from granian.http import HTTP1Settings
        from granian.log import LogLevels
        from granian.server.embed import Server

        quiet_granian()
        return Server(
            application,
            address=self.address.ip,
            port=self.address.port,
            interface=Interfaces.ASGINL,
            http=HTTPModes.http1,
            websockets=False,
            backlog=_BACKLOG,
            backpressure=self.connections_max,
            http1_settings=HTTP1Settings(
                # Until then a head that is not complete may hold up an orderly end, too.
                header_read_timeout=int(self.config.limits.header_timeout_s * 1000),
                keep_alive=True,
                max_buffer_size=max(_BUFFER_BYTES, 2 * self.config.limits.header_bytes),
            ),
            log_access=False,
            log_level=LogLevels.warning,
            # Incremental: it only sets a level, and leaves the handlers to our own set-up.
            log_dictconfig={
                "incremental": True,
                "formatters": {},
                "handlers": {},
                "loggers": {"_granian": {}},
            },
        )


def _settle_memory() -> None:
    """Keep the garbage collector of Python away from what start-up made and will never free.

    Requests make few cycles, so it may come later, too: with its own settings it took a tenth of
    the processor time of a small GET.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)


class _Serving:
    """Granian from its first connection to its last."""

    def __init__(
        self, worker: Worker, application: InFlight, stopping: Stopping, leaving: Leaving
    ) -> None:
        self._worker = worker
        self._application = application
        self._stopping = stopping
        self._leaving = leaving
        self._server = worker.server(application)
        self._served = anyio.Event()
        self._scope = anyio.CancelScope()

    async def run(self) -> None:
        """Serve and drain."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._run_granian)
            tasks.start_soon(self._bound_unsent)
            await self._stopping.asked.wait()
            await self._drain()

    async def _run_granian(self) -> None:
        error: Exception | None = None
        with self._scope:
            try:
                await self._server.serve()
            except Exception as raised:  # noqa: BLE001  it is told below, and ends the worker
                error = raised
        self._served.set()
        if error is not None or not self._stopping.asked.is_set():
            _log.error("the HTTP server ended by itself", exc_info=error)
            self._stopping.fall("the HTTP server ended by itself")

    async def _bound_unsent(self) -> None:
        for _ in range(_LOOKS):
            if self._served.is_set() or bound_unsent(self._worker.address.port):
                return
            await anyio.sleep(_LOOK_S)

    async def _leave(self) -> None:
        """Let everyone know, while there is still somebody who answers."""
        self._leaving.begin()
        delay_s = self._worker.config.server.drain_delay_s
        if delay_s > 0 and self._stopping.may_delay:
            _log.info("stopping: not ready any more, and closing in %g s", delay_s)
            await anyio.sleep(delay_s)
        if self._stopping.may_delay:
            shut_gate(self._worker.address.port)
            await anyio.sleep(GATE_S)

    async def _drain(self) -> None:
        if self._served.is_set():
            return
        timeout_s = self._worker.config.server.drain_timeout_s
        with anyio.CancelScope() as waiting:
            self._stopping.on_hurry = waiting.cancel
            await self._leave()
        _log.info("stopping: no new connections, open requests have %g s to finish", timeout_s)
        self._server.stop()  # type: ignore[no-untyped-call]
        if not waiting.cancel_called:
            with anyio.move_on_after(timeout_s) as waiting:
                self._stopping.on_hurry = waiting.cancel
                await self._served.wait()
        if not self._served.is_set():
            _log.warning("stopping: %d requests are cut off", len(self._application))
            self._leaving.cut()
            self._application.cut()
            with anyio.move_on_after(_CUT_TIMEOUT_S):
                await self._served.wait()
        self._scope.cancel()
