"""Clients over plain sockets: hostile ones of every kind, and good ones that measure how they fare.

Each of the two has a process of its own. What a good client waits for is then the service, and not
the thousands that the same event loop would have to serve; and the hostile ones, who elsewhere have
machines of their own, take only what others leave of the processors.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import resource
import socket
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager, suppress
from multiprocessing import get_context
from multiprocessing.synchronize import Event

from tests.torture.acts import OBJECTS
from tests.torture.experiment import Counts
from tests.torture.journal import Broken
from tests.torture.service import API_KEY

__all__ = ["SLOWLY_SERVED", "crowd", "good_ms", "processes"]

SLOWLY_SERVED = "slow readers that were served"
_SLOWLY_READ_BYTES = 8 * 1024
"""More than a head, and less than any of them has read when all go."""

_NICENESS = 15
_CLOSE = "Connection: close\r\n"

_over: Event | None = None
"""In their process: set once all shall go."""


@contextmanager
def processes() -> Iterator[tuple[ProcessPoolExecutor, ProcessPoolExecutor, Event]]:
    """One for good clients, one for the others, and what tells those to go."""
    context = get_context("spawn")
    over = context.Event()
    with (
        ProcessPoolExecutor(1, context) as good,
        ProcessPoolExecutor(1, context, _begin, (over,)) as others,
    ):
        try:
            yield good, others, over
        finally:
            over.set()


def _begin(over: Event) -> None:
    global _over  # noqa: PLW0603  an event reaches a process only when that is started
    _over = over
    os.nice(_NICENESS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 8192:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))


# -- good ones ------------------------------------------------------------------------------------


def good_ms(port: int, seconds: float, at_least: int) -> list[float]:
    """Upload small objects, and read each; milliseconds of every request."""
    return asyncio.run(_good_ms(port, seconds, at_least))


def _head(method: str, target: str, length: int | None = None, more: str = "") -> bytes:
    size = "" if length is None else f"Content-Length: {length}\r\n"
    return (
        f"{method} {target} HTTP/1.1\r\nHost: x\r\nX-API-Key: {API_KEY}\r\n{size}{more}\r\n"
    ).encode()


async def _exchange(port: int, request: bytes) -> bytes:
    """Send a request on a connection of its own; the whole answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        await writer.drain()
        return await reader.read()
    finally:
        writer.close()


async def _good_ms(port: int, seconds: float, at_least: int) -> list[float]:
    """Upload a small object, and read it, again and again; milliseconds of each request."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(took) < at_least:
        body = os.urandom(3000)
        stored = await _timed(port, took, _head("POST", OBJECTS, len(body), _CLOSE) + body)
        path = f"/v1/objects/{json.loads(stored)['id']}?tenant_id=t"
        if await _timed(port, took, _head("GET", path, None, _CLOSE)) != body:
            raise Broken("a good client reads something else than it has stored")
        await asyncio.sleep(0.01)
    return took


async def _timed(port: int, took: list[float], request: bytes) -> bytes:
    """The body of the answer, which has to be a success; how long it took is noted."""
    began = time.monotonic()
    answer = await _exchange(port, request)
    took.append((time.monotonic() - began) * 1000)
    if not answer.startswith(b"HTTP/1.1 20"):
        raise Broken(f"a good client is answered {answer[:200]!r}")
    return answer.partition(b"\r\n\r\n")[2]


# -- hostile ones ---------------------------------------------------------------------------------


def crowd(port: int, large: str, seed: int, staying: Mapping[str, int], passing: int) -> Counts:
    """All kinds at once, until they are told to go, and those that come and go; what they saw.

    Args:
        port: Of the service.
        large: The path of an object of some megabytes.
        seed: Whatever they choose follows from this.
        staying: How many of each kind, by the name of the method.
        passing: Those that vanish, one after the other.

    Raises:
        Broken: One was answered as nobody should be.
    """
    return asyncio.run(_crowd(_Mob(port, large, random.Random(seed)), staying, passing))


async def _crowd(mob: _Mob, staying: Mapping[str, int], passing: int) -> Counts:
    tasks = [
        asyncio.ensure_future(getattr(mob, kind)())
        for kind, number in staying.items()
        for _ in range(number)
    ]
    await _passing(mob, passing)
    assert _over is not None
    await asyncio.to_thread(_over.wait)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Broken):
            raise outcome
    mob.counts["hostile clients that stayed"] = len(tasks)
    return mob.counts


async def _passing(mob: _Mob, number: int) -> None:
    """Those that come and go."""
    for turn in range(number):
        await mob.vanish()
        if turn % 10 == 0:
            await mob.flood()


_ANSWERED_S = 30.0
"""Longer than any limit of the service under attack."""

_FLOODS = {
    "bytes in a field": _head("GET", "/health", None, "X: " + "y" * 300_000 + "\r\n"),
    "fields": _head("GET", "/health", None, "X: y\r\n" * 10_000),
    "bytes in a target": _head("GET", "/v1/objects?" + "a" * 100_000),
    "bytes in a body": _head("POST", OBJECTS, 10**15),
    "bytes in a document": _head(
        "POST", "/v1/objects/delete", 10**9, "Content-Type: application/json\r\n"
    ),
    "ranges": _head("GET", "LARGE", None, "Range: bytes=" + "0-1," * 2000 + "0-1\r\n"),
}
"""Requests that are too large in some way."""


class _Mob:
    """Hostile clients that run until they are told to go."""

    def __init__(self, port: int, large: str, chance: random.Random) -> None:
        self.port = port
        self.large = large
        self.chance = chance
        self.counts: Counts = Counter()

    async def open(self, **options: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection."""
        if "receive" in options:
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive"])
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", self.port))
            return await asyncio.open_connection(sock=made, limit=2048)
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def idle(self) -> None:
        """Connect, and say nothing."""
        reader, writer = await self.open()
        with suppress(OSError):
            await reader.read()
        self.counts["idle connections that were ended"] += 1
        writer.close()

    async def drip(self, data: bytes) -> None:
        """Send a byte at a time, until the connection ends."""
        reader, writer = await self.open()
        ended = asyncio.ensure_future(reader.read())
        try:
            for byte in data:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.wait([ended], timeout=0.5)
                if ended.done():
                    self.counts["dripping clients that were cut off"] += 1
                    return
        except OSError:
            self.counts["dripping clients that were cut off"] += 1
        finally:
            ended.cancel()
            with suppress(BaseException):
                await ended
            writer.close()

    async def drip_head(self) -> None:
        """A request's head, a byte at a time."""
        await self.drip(_head("GET", "/health", None, "X: " + "y" * 1000 + "\r\n"))

    async def drip_body(self) -> None:
        """A body, a byte at a time."""
        reader, writer = await self.open()
        writer.write(_head("POST", OBJECTS, 200_000))
        began = time.monotonic()
        try:
            while not reader.at_eof() and time.monotonic() - began < 60:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.5)
                with suppress(TimeoutError):
                    if await asyncio.wait_for(reader.read(100), 0.01):
                        self.counts["dripping bodies that were cut off"] += 1
                        return
        except OSError:
            self.counts["dripping bodies that were cut off"] += 1
        finally:
            writer.close()

    async def read_slowly(self) -> None:
        """A large download, a little at a time."""
        reader, writer = await self.open(receive=4096)
        writer.write(_head("GET", self.large))
        received = 0
        try:
            while part := await reader.read(1024):
                if not received and not part.startswith(b"HTTP/1.1 200 "):
                    raise Broken(f"a slow reader is answered {part[:200]!r}")
                if received < _SLOWLY_READ_BYTES <= received + len(part):
                    self.counts[SLOWLY_SERVED] += 1
                received += len(part)
                await asyncio.sleep(0.2)
        except OSError:
            self.counts["slow readers that were cut off"] += 1
        finally:
            writer.close()

    async def vanish(self) -> None:
        """Leave somewhere within an upload, or a download."""
        data = _head("POST", OBJECTS, 150_000) + bytes(150_000)
        if self.chance.random() < 0.3:
            data = _head("GET", self.large)
        _, writer = await self.open()
        sent = self.chance.choice([0, 1, 50, len(data) // 2, len(data) - 1, len(data)])
        with suppress(OSError):
            writer.write(data[:sent])
            await writer.drain()
            if self.chance.random() < 0.5:
                await asyncio.sleep(self.chance.random() * 0.02)
        writer.transport.abort()
        self.counts["clients that vanished"] += 1

    async def flood(self) -> None:
        """Over some limit: refused, or cut off, and never done."""
        what = self.chance.choice(list(_FLOODS))
        request = _FLOODS[what].replace(b"LARGE", self.large.encode())
        answer = b""
        try:
            answer = await asyncio.wait_for(_exchange(self.port, request), _ANSWERED_S)
        except TimeoutError:
            raise Broken(f"{what}, which are too many, hang for {_ANSWERED_S:g} s") from None
        except OSError:
            pass  # cut off
        if answer and answer[9:10] != b"4":
            raise Broken(f"{what}, which are too many, are answered {answer[:200]!r}")
        self.counts[f"{what}, answered {answer[9:12].decode() or 'nothing'}"] += 1
        self.counts["requests over a limit"] += 1
