"""Rate limits: so many requests and bytes of one credential and of one tenant in a window of time.

Windows are fixed: they begin at whole multiples of their length since 1970, in every process alike,
so around the end of one a client may be let through twice the limit. Requests are counted when they
are let in, bytes (of both bodies) when they have flowed: a transfer that began within the limit is
never cut off, it only keeps the next ones out.

Counts are kept in the process. Shared ones are told to the metadata store, and read back from it,
every `sync_s` and beside the requests: no request waits for that, and a store that is away leaves
each process with what it knows. So the sum over all processes may exceed a limit by what they let
through between two syncs, and by no more.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple, TypeAlias

from juststorage.config import RateLimits as Options
from juststorage.domain import TenantId
from juststorage.errors import JustStorageError, RateLimited
from juststorage.ports import Clock
from juststorage_api._access import ANONYMOUS
from juststorage_api._exchange import Exchange

__all__ = ["RateLimits"]

Tell: TypeAlias = Callable[[int, Mapping[str, int]], Awaitable[Mapping[str, int]]]
"""Adds to the counters of the window that begins then, and answers with their sums."""

_SHOWN_MAX: Final = 10_000
"""Counters told at once; more of them are told by the next sync."""

_log = logging.getLogger("juststorage.api")


class _Limit(NamedTuple):
    """One of the four limits; `amount` 0 means that there is none."""

    mark: str
    amount: int
    what: str


class RateLimits:
    """The limits of one process.

    Args:
        options: The limits.
        clock: For windows.
        tell: Shares the counts; None keeps them to this process.
    """

    def __init__(self, options: Options, clock: Clock, tell: Tell | None = None) -> None:
        self._window_s = options.window_s
        self._sync_s = options.sync_s
        self._clock = clock
        self._tell = tell
        self._key_requests = _Limit("kr", options.requests_per_key, "requests of this credential")
        self._key_bytes = _Limit("kb", options.bytes_per_key, "bytes of this credential")
        self._tenant_requests = _Limit("tr", options.requests_per_tenant, "requests of this tenant")
        self._tenant_bytes = _Limit("tb", options.bytes_per_tenant, "bytes of this tenant")
        self._window = 0
        self._counts: dict[str, int] = {}
        self._untold: dict[str, int] = {}

    @classmethod
    def of(cls, options: Options, clock: Clock, tell: Tell | None) -> RateLimits | None:
        """The limits that the options set, or None."""
        if not (
            options.requests_per_key
            or options.bytes_per_key
            or options.requests_per_tenant
            or options.bytes_per_tenant
        ):
            return None
        return cls(options, clock, tell if options.shared else None)

    def admit(self, exchange: Exchange) -> None:
        """Let a request of a known caller in, and count it.

        Raises:
            RateLimited: The credential has spent its requests or bytes.
        """
        exchange.limits = self
        who = _who(exchange)
        self._admit(exchange, self._key_requests, self._key_bytes, who)

    def admit_tenant(self, exchange: Exchange, tenant_id: TenantId) -> None:
        """Let it act for a tenant, and count that.

        Raises:
            RateLimited: The tenant has spent its requests or bytes.
        """
        self._admit(exchange, self._tenant_requests, self._tenant_bytes, tenant_id)

    def charge(self, exchange: Exchange) -> None:
        """Count the bytes of a request that is over."""
        spent = exchange.sent_bytes + exchange.received_bytes
        if not spent or exchange.principal is None:
            return
        self._turn()
        if self._key_bytes.amount:
            self._count(f"{self._key_bytes.mark}:{_who(exchange)}", spent)
        if self._tenant_bytes.amount and exchange.tenant_id is not None:
            self._count(f"{self._tenant_bytes.mark}:{exchange.tenant_id}", spent)

    def headers(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        """What an answer tells about the limit that is nearest to its end."""
        if exchange.allowance is None:
            return []
        limit, remaining = exchange.allowance
        return [
            (b"ratelimit-limit", b"%d" % limit),
            (b"ratelimit-remaining", b"%d" % remaining),
            (b"ratelimit-reset", b"%d" % self._reset_s()),
            (b"ratelimit-policy", b"%d;w=%d" % (limit, self._window_s)),
        ]

    async def run(self) -> None:
        """Tell and read the counts again and again, until cancelled. Returns if none are shared."""
        is_away = False
        while self._tell is not None:
            await self._clock.sleep(self._sync_s)
            try:
                await self.sync()
            except JustStorageError as error:
                if not is_away:
                    _log.warning("rate limits are each process's own meanwhile: %s", error)
                is_away = True
            else:
                is_away = False

    async def sync(self) -> None:
        """Tell what was counted since the last time, and read what all processes have counted.

        Raises:
            Unavailable: The store does not answer; what was not told is told the next time.
        """
        if self._tell is None:
            return
        self._turn()
        if not self._counts:
            return
        window = self._window
        names = sorted(self._counts, key=lambda name: name not in self._untold)[:_SHOWN_MAX]
        told = {name: self._untold.pop(name, 0) for name in names}
        try:
            sums = await self._tell(window, told)
        except JustStorageError:
            if window == self._window:
                for name, amount in told.items():
                    self._untold[name] = self._untold.get(name, 0) + amount
            raise
        if window == self._window:
            for name, total in sums.items():
                self._counts[name] = total + self._untold.get(name, 0)

    def _admit(self, exchange: Exchange, requests: _Limit, volume: _Limit, who: str) -> None:
        self._turn()
        if volume.amount and self._counts.get(f"{volume.mark}:{who}", 0) >= volume.amount:
            self._refuse(exchange, volume)
        if not requests.amount:
            return
        name = f"{requests.mark}:{who}"
        used = self._counts.get(name, 0)
        if used >= requests.amount:
            self._refuse(exchange, requests)
        self._count(name, 1)
        remaining = requests.amount - used - 1
        nearest = exchange.allowance
        if nearest is None or remaining * nearest[0] < nearest[1] * requests.amount:
            exchange.allowance = requests.amount, remaining

    def _refuse(self, exchange: Exchange, limit: _Limit) -> None:
        exchange.allowance = limit.amount, 0
        raise RateLimited(
            f"the {limit.what} are used up until the window ends",
            retry_after_s=self._reset_s(),
            limit=limit.amount,
            window_s=self._window_s,
        )

    def _count(self, name: str, amount: int) -> None:
        self._counts[name] = self._counts.get(name, 0) + amount
        if self._tell is not None:
            self._untold[name] = self._untold.get(name, 0) + amount

    def _turn(self) -> None:
        """Forget the last window once another has begun."""
        window = int(self._clock.now().timestamp() // self._window_s) * self._window_s
        if window != self._window:
            self._window = window
            self._counts = {}
            self._untold = {}

    def _reset_s(self) -> int:
        left_s = self._window + self._window_s - self._clock.now().timestamp()
        return max(1, -int(-left_s // 1))


def _who(exchange: Exchange) -> str:
    """Whose requests these are. Callers without a credential are told apart by their address."""
    subject = exchange.caller.subject
    if subject != ANONYMOUS:
        return subject
    client = exchange.scope.get("client")
    return f"{subject}@{client[0] if client else ''}"
