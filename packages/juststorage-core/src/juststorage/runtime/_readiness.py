"""Readiness: whether each part of a running service can do its work now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
import msgspec

from juststorage.errors import JustStorageError, StorageFull, UnsupportedOperation
from juststorage.ports import BlobStore, Clock

__all__ = ["PING_TIMEOUT_S", "Part", "need_space", "ping_all"]

PING_TIMEOUT_S = 2.0
"""A part that does not answer within this is not ready."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part: a backend that was pinged, or its background work.

    Args:
        name: The instance; `instance/what` for its migrations, its space or its background work.
        ok: Whether it can do its work.
        degraded: Whether it can do only a part of it: where there is no room, what is stored is
            read and deleted as ever, and nothing new is taken.
        detail: What is wrong, safe to show to anyone; None when nothing is.
        latency_ms: How long the answer took; None where nothing was asked.
    """

    name: str
    ok: bool
    degraded: bool = False
    detail: str | None = None
    latency_ms: float | None = None


async def ping_all(pings: Mapping[str, Callable[[], Awaitable[None]]], clock: Clock) -> list[Part]:
    """Ping everything at once; in the order given, whatever came first."""
    parts: dict[str, Part] = {}

    async def ask(name: str, ping: Callable[[], Awaitable[None]]) -> None:
        parts[name] = await _ping(name, ping, clock)

    async with anyio.create_task_group() as tasks:
        for name, ping in pings.items():
            tasks.start_soon(ask, name, ping)
    return [parts[name] for name in pings]


async def _ping(name: str, ping: Callable[[], Awaitable[None]], clock: Clock) -> Part:
    began = clock.monotonic()
    degraded = False
    detail: str | None = f"no answer within {PING_TIMEOUT_S:g} s"
    with anyio.move_on_after(PING_TIMEOUT_S):
        try:
            await ping()
            detail = None
        except StorageFull as error:
            degraded, detail = True, error.detail
        except JustStorageError as error:
            detail = error.detail
    latency_ms = round((clock.monotonic() - began) * 1000, 3)
    ok = detail is None or degraded
    return Part(name=name, ok=ok, degraded=degraded, detail=detail, latency_ms=latency_ms)


async def need_space(store: BlobStore) -> None:
    """A ping of a volume's room.

    Raises:
        StorageFull: Uploads are refused: nothing is free but the reserve.
    """
    try:
        space = await store.space()
    except UnsupportedOperation:
        return
    if space is not None and space.free_bytes == 0:
        raise StorageFull("nothing is free but the reserve: uploads are refused")
