"""Hostile clients: idle, dripping, slow, vanishing, flooding; and good ones beside them.

The good clients go on at their pace, memory stays within bounds, and once the others are gone
nothing of them is left: no descriptor, no connection to the database, no lease, no staged byte.
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
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from statistics import quantiles

from tests.torture.acts import OBJECTS
from tests.torture.experiment import Counts, Rig, Run, rig
from tests.torture.journal import Broken
from tests.torture.service import API_KEY, settle

__all__ = ["run"]

IDLE, HEADS, BODIES, READERS, VANISHING = 1000, 500, 200, 200, 1000
SLOWER_AT_MOST = 3
NOISE_MS = 120.0
"""Below this a p99 says more about the machine than about the service."""

GROWN_MIB_MAX = 300
LARGE = 4_000_000
_SECTIONS: dict[str, dict[str, object]] = {
    "limits": {"header_timeout_s": 4},
    "uploads": {"lease_s": 10, "idle_timeout_s": 3, "rate_grace_s": 3, "min_rate_bytes_s": 1024},
}


def run(run: Run) -> Counts:
    """All kinds at once, as many as there is time for; on the first store."""
    counts = run.counts
    _allow_many_files()
    scale = 1.0 if run.is_complete else min(1.0, run.seconds / 60)
    with rig(run, run.stores[0], **_SECTIONS) as made:  # type: ignore[arg-type]
        asyncio.run(_attack(made, run, counts, scale))
        _nothing_left(made, counts)
        made.service.stop()
    return counts


def _allow_many_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 8192:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))


# -- the good ones --------------------------------------------------------------------------------


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
    """Upload and read small objects, one after the other; milliseconds of each."""
    took: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(took) < at_least:
        body = os.urandom(3000)
        for request in (
            _head("POST", OBJECTS, len(body), "Connection: close\r\n") + body,
            _head("GET", "/health", None, "Connection: close\r\n"),
        ):
            began = time.monotonic()
            answer = await _exchange(port, request)
            took.append((time.monotonic() - began) * 1000)
            if not answer.startswith((b"HTTP/1.1 20",)):
                raise Broken(f"a good client is answered {answer[:200]!r}")
        await asyncio.sleep(0.01)
    return took


def _p99(took: list[float]) -> float:
    return quantiles(took, n=100)[98]


# -- the others -----------------------------------------------------------------------------------


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
        try:
            while await reader.read(1024):  # noqa: ASYNC110 - it waits for nothing
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
        """Over some limit."""
        request = self.chance.choice(
            [
                _head("GET", "/health", None, "X: " + "y" * 300_000 + "\r\n"),
                _head("GET", "/health", None, "X: y\r\n" * 10_000),
                _head("GET", "/v1/objects?" + "a" * 100_000),
                _head("POST", OBJECTS, 10**15),
                _head("POST", "/v1/objects/delete", 10**9, "Content-Type: application/json\r\n"),
                _head("GET", self.large, None, "Range: bytes=" + "0-1," * 2000 + "0-1\r\n"),
            ]
        )
        with suppress(OSError, TimeoutError):
            answer = await asyncio.wait_for(_exchange(self.port, request), 5)
            if answer[9:10] == b"5":
                raise Broken(f"a flood is answered {answer[:200]!r}")
        self.counts["requests over a limit"] += 1


async def _attack(made: Rig, run: Run, counts: Counts, scale: float) -> None:
    port = made.service.port
    stored = made.service.call("POST", OBJECTS, os.urandom(LARGE))
    assert stored is not None and stored[0] == 201
    large = f"/v1/objects/{json.loads(stored[1])['id']}?tenant_id=t"
    alone = await _good_ms(port, 4 * scale + 1, 200)
    rss = _rss_mib(made)
    mob = _Mob(port, large, run.chance)
    kinds: list[tuple[Callable[[], Awaitable[None]], int]] = [
        *((mob.idle, IDLE), (mob.drip_head, HEADS), (mob.drip_body, BODIES)),
        (mob.read_slowly, READERS),
    ]
    tasks = [
        asyncio.ensure_future(kind()) for kind, number in kinds for _ in range(int(number * scale))
    ]
    passing = asyncio.ensure_future(_passing(mob, int(VANISHING * scale)))
    crowded = await _good_ms(port, max(8.0, 20 * scale), 200)
    grown = _rss_mib(made) - rss
    await passing
    for task in tasks:
        task.cancel()
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(outcome, Broken):
            raise outcome
    counts.update(mob.counts)
    counts["hostile clients that stayed"] = len(tasks)
    counts["p99 of a good client alone, ms"] = round(_p99(alone))
    counts["p99 of a good client in the crowd, ms"] = round(_p99(crowded))
    counts["memory grown by the crowd, MiB"] = max(0, grown)
    # A fifth of the crowd, beside other tests on the same cores, says nothing of a time.
    if scale == 1 and _p99(crowded) > max(NOISE_MS, SLOWER_AT_MOST * _p99(alone)):
        raise Broken(f"p99 of a good client: {_p99(alone):.0f} ms, {_p99(crowded):.0f} ms")
    if grown > GROWN_MIB_MAX:
        raise Broken(f"memory has grown by {grown} MiB")


async def _passing(mob: _Mob, number: int) -> None:
    """Those that come and go."""
    for turn in range(number):
        await mob.vanish()
        if turn % 10 == 0:
            await mob.flood()


# -- afterwards -----------------------------------------------------------------------------------


def _pid(made: Rig) -> int:
    assert made.service.child is not None
    return made.service.child.pid


def _rss_mib(made: Rig) -> int:
    text = Path(f"/proc/{_pid(made)}/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) // 1024


def _descriptors(made: Rig) -> int:
    return len(list(Path(f"/proc/{_pid(made)}/fd").iterdir()))


def _nothing_left(made: Rig, counts: Counts) -> None:
    deadline = time.monotonic() + 30
    # What a server that is just open has: the store, the database, the loop, a few of each.
    while (left := _descriptors(made)) > 60 and time.monotonic() < deadline:
        time.sleep(0.1)
    counts["descriptors afterwards"] = left
    if left > 60:
        names = Counter(_target(each) for each in Path(f"/proc/{_pid(made)}/fd").iterdir())
        raise Broken(f"{left} descriptors are left open: {names.most_common(5)}")
    settle(made.store)


def _target(link: Path) -> str:
    with suppress(OSError):
        return str(link.readlink()).partition(":")[0]
    return "gone"
