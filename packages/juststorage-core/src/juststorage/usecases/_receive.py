"""Receiving a body: counted, timed, written and hashed.

While one block is written and then hashed, in threads, the next one is received. At most two blocks
are in memory: one in work, one waiting. To hash it beside the writing was no faster, and took more
processor time: docs/performance.md.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, Self

import anyio
import anyio.to_thread
import msgspec

from juststorage.domain import ContentHash
from juststorage.errors import DigestMismatch, TooLarge, TooSlow
from juststorage.ports import Clock, HashState, StagedBlob

__all__ = ["Digests", "UploadLimits", "receive"]

_BLOCK_BYTES: Final = 2 * 1024 * 1024
"""Chunks are gathered up to this before they are worth two threads' while. Every block costs some
100 us on the way to the threads and back: with 2 MiB a 1 GiB upload took 0.77 of the processor time
that it took with 1 MiB, and 0.6 of that with chunks of 400 KiB as the server delivers them.
"""


class UploadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What an upload may take.

    Args:
        bytes_max: Bytes of a body.
        lease_s: Seconds after which an upload that shows no life is taken for dead.
        idle_s: Seconds without a byte after which the client is taken for gone.
        rate_min_bytes_s: Bytes per second, on average over the time spent waiting for the client.
        rate_grace_s: Seconds of waiting before that average counts.
    """

    bytes_max: int
    lease_s: float
    idle_s: float
    rate_min_bytes_s: int
    rate_grace_s: float = 30.0


class Digests:
    """The digests of one body: the one that names it, and those that the client announced."""

    def __init__(self, states: dict[str, HashState], expected: Sequence[ContentHash]) -> None:
        self._states = states
        self._expected = expected

    def update(self, *block: bytes) -> None:
        """Add bytes to every digest."""
        for state in self._states.values():
            for chunk in block:
                state.update(chunk)

    def finish(self, algorithm: str) -> ContentHash:
        """The content hash in `algorithm`.

        Raises:
            DigestMismatch: An announced digest is not what the bytes have.
        """
        hashes = {name: ContentHash.of(name, s.digest()) for name, s in self._states.items()}
        for expected in self._expected:
            if hashes[expected.algorithm] != expected:
                raise DigestMismatch("the body does not have the announced digest")
        return hashes[algorithm]


async def receive(
    body: AsyncIterator[bytes],
    staged: StagedBlob,
    digests: Digests,
    *,
    limits: UploadLimits,
    clock: Clock,
    renew: Callable[[], Awaitable[None]],
    renews_first: bool = False,
) -> int:
    """Write the whole body to `staged` and to `digests`; its size in bytes.

    `renew` is called every third of the lease while bytes arrive; with `renews_first`, for the
    first ones as well.

    Raises:
        TooLarge: More than `bytes_max` bytes; counted, whatever the client announced.
        TooSlow: The client stood still or is below the minimum rate.
        UploadExpired: From `renew`: the lease was lost.
        JustStorageError: From `staged.write`.
    """
    incoming = _Incoming(body, limits=limits, clock=clock, renew=renew, renews_first=renews_first)
    send, blocks = anyio.create_memory_object_stream[list[bytes]](0)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_consume, blocks, staged, digests)
            tasks.start_soon(incoming.watch)
            async with send, incoming:
                async for block in incoming.blocks():
                    try:
                        await send.send(block)
                    except anyio.BrokenResourceError:
                        break  # the consumer failed; its error comes out of the task group
    except BaseExceptionGroup as group:
        raise _first(group) from None
    return incoming.size_bytes


class _Incoming:
    """A body as blocks, within the limits; a context manager around their reading.

    How long a chunk takes is looked after by one task beside the reading, `watch`. A cancel scope
    around each wait is a quarter of all that the event loop does for a large upload.
    """

    def __init__(
        self,
        body: AsyncIterator[bytes],
        *,
        limits: UploadLimits,
        clock: Clock,
        renew: Callable[[], Awaitable[None]],
        renews_first: bool,
    ) -> None:
        self._body = body
        self._limits = limits
        self._clock = clock
        self._renew = renew
        self._renewed_at = -math.inf if renews_first else clock.monotonic()
        self._waited_s = 0.0
        self._loop_time = asyncio.get_running_loop().time
        self._waits_since: float | None = None
        self._watching = anyio.CancelScope()
        self.size_bytes = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self._watching.cancel()

    async def watch(self) -> None:
        """Return when the reading has ended.

        Raises:
            TooSlow: The client stood still.
        """
        idle_s = self._limits.idle_s
        with self._watching:
            while True:
                now = self._loop_time()
                since = now if self._waits_since is None else self._waits_since
                if now - since >= idle_s:
                    raise TooSlow(f"no byte arrived for {idle_s:g} s")
                await anyio.sleep(since + idle_s - now)

    async def blocks(self) -> AsyncIterator[list[bytes]]:
        """The chunks, gathered. Joining them would be a copy of everything, on the event loop."""
        gathered: list[bytes] = []
        gathered_bytes = 0
        while (chunk := await self._next()) is not None:
            gathered.append(chunk)
            gathered_bytes += len(chunk)
            if gathered_bytes >= _BLOCK_BYTES:
                yield gathered
                gathered, gathered_bytes = [], 0
        if gathered:
            yield gathered

    async def _next(self) -> bytes | None:
        asked_at = self._clock.monotonic()
        self._waits_since = self._loop_time()
        chunk = await anext(self._body, None)
        self._waits_since = None
        if chunk is None:
            return None
        now = self._clock.monotonic()
        self._waited_s += now - asked_at
        self.size_bytes += len(chunk)
        if self.size_bytes > self._limits.bytes_max:
            raise TooLarge(f"the body is over {self._limits.bytes_max} bytes")
        rate_min = self._limits.rate_min_bytes_s
        judged = self._waited_s > self._limits.rate_grace_s
        if judged and self.size_bytes < self._waited_s * rate_min:
            raise TooSlow(f"the body arrives slower than {rate_min} bytes/s")
        if now - self._renewed_at > self._limits.lease_s / 3:
            await self._renew()
            self._renewed_at = now
        return chunk


async def _consume(
    blocks: anyio.abc.ObjectReceiveStream[list[bytes]], staged: StagedBlob, digests: Digests
) -> None:
    async with blocks:
        async for block in blocks:
            await staged.write_parts(block)
            await anyio.to_thread.run_sync(digests.update, *block)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """What went wrong first; a task group cancels the rest, so there is hardly ever a second."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
