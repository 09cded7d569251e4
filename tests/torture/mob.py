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
from typing import NamedTuple

from tests.torture.acts import BY_KEY, OBJECTS
from tests.torture.experiment import Counts
from tests.torture.journal import Broken
from tests.torture.service import API_KEY

__all__ = ["CUT_OFF", "PHASES", "SLOWLY_SERVED", "Good", "Mob", "good", "mob", "processes"]

CUT_OFF = {
    "idle": "idle connections that were ended",
    "drip_head": "dripping clients that were cut off",
    "drip_body": "dripping bodies that were cut off",
}
"""Nobody may stay who sends next to nothing. What is counted of each kind, once for each client;
then it comes again."""

PHASES = (
    "in the head",
    *(f"at {percent}% of the body" for percent in (0, 1, 50, 99, 100)),
    "in a download",
)
"""Where clients vanish."""

SLOWLY_SERVED = "slow readers that were served"
_SLOWLY_READ_BYTES = 8 * 1024
"""More than a head, and less than any of them has read when all go."""

_NICENESS = 15
_CLOSE = "Connection: close\r\n"

_over: Event | None = None
"""In their process: set once all shall go."""

_all_there: Event | None = None
"""The same: set by them once each of those that stay has connected."""


class Processes(NamedTuple):
    """One for good clients, and one for the others."""

    good: ProcessPoolExecutor
    others: ProcessPoolExecutor
    over: Event
    """Tells the others to go."""
    all_there: Event
    """By which the others tell that all who stay have come."""


@contextmanager
def processes() -> Iterator[Processes]:
    """Both of them, gone afterwards."""
    context = get_context("spawn")
    over, all_there = context.Event(), context.Event()
    with (
        ProcessPoolExecutor(1, context) as good_ones,
        ProcessPoolExecutor(1, context, _begin, (over, all_there)) as others,
    ):
        try:
            yield Processes(good_ones, others, over, all_there)
        finally:
            over.set()


def _begin(over: Event, all_there: Event) -> None:
    global _over, _all_there  # an event reaches a process only when that is started
    _over, _all_there = over, all_there
    os.nice(_NICENESS)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 8192:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))


# -- good ones ------------------------------------------------------------------------------------


class Good(NamedTuple):
    """What a good client saw."""

    took_ms: list[float]
    """Of every request."""
    stored: list[tuple[bytes, bytes]]
    """What its uploads were answered, and their bodies."""


def good(port: int, seconds: float, at_least: int) -> Good:
    """Upload small objects, and read each, for so long, and so many requests."""
    return asyncio.run(_good(port, seconds, at_least))


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


async def _good(port: int, seconds: float, at_least: int) -> Good:
    saw = Good([], [])
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(saw.took_ms) < at_least:
        body = os.urandom(3000)
        upload = _head("POST", OBJECTS, len(body), _CLOSE) + body
        stored = await _timed(port, saw.took_ms, upload)
        saw.stored.append((stored, body))
        path = f"/v1/objects/{json.loads(stored)['id']}?tenant_id=t"
        if await _timed(port, saw.took_ms, _head("GET", path, None, _CLOSE)) != body:
            raise Broken("a good client reads something else than it has stored")
        await asyncio.sleep(0.01)
    return saw


async def _timed(port: int, took: list[float], request: bytes) -> bytes:
    """The body of the answer, which has to be a success; how long it took is noted."""
    began = time.monotonic()
    answer = await _exchange(port, request)
    took.append((time.monotonic() - began) * 1000)
    if not answer.startswith(b"HTTP/1.1 20"):
        raise Broken(f"a good client is answered {answer[:200]!r}")
    return answer.partition(b"\r\n\r\n")[2]


# -- hostile ones ---------------------------------------------------------------------------------


class Mob(NamedTuple):
    """Hostile clients of all kinds at once.

    Args:
        port: Of the service.
        large: The path of an object of some megabytes.
        seed: Whatever they choose follows from this.
        staying: How many of each kind, by the name of the method.
        passing: Those that vanish, one after the other.
    """

    port: int
    large: str
    seed: int
    staying: Mapping[str, int]
    passing: int


def mob(of: Mob) -> Counts:
    """Until they are told to go; what they saw.

    Raises:
        Broken: One was answered as nobody should be.
    """
    return asyncio.run(_mob(of))


async def _mob(of: Mob) -> Counts:
    assert _over is not None
    them = _Mob(of.port, of.large, random.Random(of.seed), sum(of.staying.values()))
    tasks = [
        asyncio.ensure_future(them.stay(kind))
        for kind, number in of.staying.items()
        for _ in range(number)
    ]
    await _passing(them, of.passing)
    await asyncio.to_thread(_over.wait)
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, BaseException) and not isinstance(outcome, asyncio.CancelledError):
            raise outcome
    them.counts["hostile clients that stayed"] = len(tasks)
    return them.counts


async def _passing(them: _Mob, number: int) -> None:
    """Those that come and go."""
    for turn in range(number):
        await them.vanish(PHASES[turn % len(PHASES)])
        if turn % 10 == 0:
            await them.flood()


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

    def __init__(self, port: int, large: str, chance: random.Random, staying: int) -> None:
        self.port = port
        self.large = large
        self.chance = chance
        self.counts: Counts = Counter()
        self._missing = staying
        """Of those that stay, so many have not come yet."""

    async def stay(self, kind: str) -> None:
        """One client of a kind, who comes again whenever it was cut off."""
        told = CUT_OFF.get(kind, "")
        connected = await self.open_for(kind)
        self._missing -= 1
        if not self._missing:
            assert _all_there is not None
            _all_there.set()
        while True:
            if await getattr(self, kind)(*connected) and told:
                self.counts[told] += 1
                told = f"{CUT_OFF[kind]}, again" if "again" not in told else told
            connected = await self.open_for(kind)

    async def open_for(self, kind: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection, as soon as there is one to be had."""
        options = {"receive": 4096} if kind == "read_slowly" else {}
        while True:
            try:
                return await self.open(**options)
            except OSError:
                self.counts["connections that were refused"] += 1
                await asyncio.sleep(0.1)

    async def open(self, **options: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection."""
        if "receive" in options:
            made = socket.socket()
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options["receive"])
            made.setblocking(False)
            await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", self.port))
            return await asyncio.open_connection(sock=made, limit=2048)
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def idle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Say nothing; whether the connection was ended."""
        try:
            with suppress(OSError):
                await reader.read()
            return True
        finally:
            writer.close()

    async def drip_head(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """A request's head, a byte at a time; whether the connection was ended."""
        ended = asyncio.ensure_future(reader.read())
        try:
            for byte in _head("GET", "/health", None, "X: " + "y" * 1000 + "\r\n"):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.wait([ended], timeout=0.5)
                if ended.done():
                    return True
            return False
        except OSError:
            return True
        finally:
            ended.cancel()
            with suppress(OSError, asyncio.CancelledError):
                await ended
            writer.close()

    async def drip_body(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """A body, a byte at a time; whether it was refused, or its connection ended."""
        began = time.monotonic()
        try:
            writer.write(_head("POST", OBJECTS, 200_000))
            while not reader.at_eof() and time.monotonic() - began < 60:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(0.5)
                with suppress(TimeoutError):
                    if await asyncio.wait_for(reader.read(100), 0.01):
                        return True
            return reader.at_eof()
        except OSError:
            return True
        finally:
            writer.close()

    async def read_slowly(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """A large download, a little at a time; whether it was cut off."""
        received = 0
        try:
            writer.write(_head("GET", self.large))
            while part := await reader.read(1024):
                if not received and not part.startswith(b"HTTP/1.1 200 "):
                    raise Broken(f"a slow reader is answered {part[:200]!r}")
                if received < _SLOWLY_READ_BYTES <= received + len(part):
                    self.counts[SLOWLY_SERVED] += 1
                received += len(part)
                await asyncio.sleep(0.2)
            return False
        except OSError:
            self.counts["slow readers that were cut off"] += 1
            return True
        finally:
            writer.close()

    async def vanish(self, phase: str) -> None:
        """Leave in this phase of an upload, with a key or without, or of a download."""
        try:
            reader, writer = await self.open()
        except OSError:
            self.counts["connections that were refused"] += 1
            return
        with suppress(OSError):
            if phase == "in a download":
                writer.write(_head("GET", self.large))
                await reader.read(self.chance.randrange(1, 65_536))
            else:
                writer.write(self._part(phase))
                await writer.drain()
                if self.chance.random() < 0.5:  # while it is at work on that, or commits it
                    await asyncio.sleep(self.chance.random() * 0.02)
        writer.transport.abort()
        self.counts[f"clients that vanished {phase}"] += 1

    def _part(self, phase: str) -> bytes:
        """What is sent of an upload up to this phase."""
        size = self.chance.choice((3000, 150_000))
        method, target = "POST", OBJECTS
        if self.chance.random() < 0.5:
            method, target = "PUT", f"{BY_KEY}/vanished-{self.chance.randrange(10)}"
        head = _head(method, target, size)
        if phase == "in the head":
            return head[: self.chance.randrange(len(head))]
        percent = int(phase.removeprefix("at ").partition("%")[0])
        return head + self.chance.randbytes(size)[: size * percent // 100]

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
