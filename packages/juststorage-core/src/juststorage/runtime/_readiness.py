"""Readiness: whether each part of a running service can do its work now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import anyio
import msgspec

from juststorage.errors import JustStorageError
from juststorage.ports import Clock

__all__ = ["PING_TIMEOUT_S", "Part", "ping_all"]

PING_TIMEOUT_S = 2.0
"""A part that does not answer within this is not ready."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part: a backend that was pinged, or its background work.

    Args:
        name: The instance, or `instance/job` for background work.
        ok: Whether it can do its work.
        detail: What is wrong, safe to show to anyone; None when nothing is.
        latency_ms: How long the answer took; None where nothing was asked.
    """

    name: str
    ok: bool
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
    detail: str | None = f"no answer within {PING_TIMEOUT_S:g} s"
    with anyio.move_on_after(PING_TIMEOUT_S):
        try:
            await ping()
            detail = None
        except JustStorageError as error:
            detail = error.detail
    latency_ms = round((clock.monotonic() - began) * 1000, 3)
    return Part(name=name, ok=detail is None, detail=detail, latency_ms=latency_ms)
