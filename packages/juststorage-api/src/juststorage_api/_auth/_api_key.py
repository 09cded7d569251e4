"""Authentication by API key.

Most requests are answered from a cache, under the key's hash: at a few microseconds each, the proof
of who is calling must not cost more than the call. An answer, good or bad, lives for a few seconds
from the moment its look-up began, so that no answer is older than the time within which a revoked
key has to be refused. Expiry needs no look-up and is checked at every use.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import NoReturn, TypeVar

import anyio

from juststorage.domain import ApiKey, ApiKeySecret, Principal
from juststorage.errors import Invalid, JustStorageError, Unauthenticated
from juststorage.ports import ApiKeyRepository, Authenticator, Clock, Credentials

__all__ = ["ApiKeyAuthenticator"]

AnswerT = TypeVar("AnswerT")


class _Known:
    """A key that exists, until when that may be believed, and the caller it stands for."""

    __slots__ = ("api_key", "principal", "stale_at")

    def __init__(self, api_key: ApiKey, stale_at: float) -> None:
        self.api_key = api_key
        self.principal = api_key.principal
        self.stale_at = stale_at


class _Lookup:
    """A look-up under way, and what came of it."""

    __slots__ = ("done", "error", "is_answered", "known")

    def __init__(self) -> None:
        self.done = anyio.Event()
        self.is_answered = False
        self.known: _Known | None = None
        self.error: JustStorageError | None = None


class ApiKeyAuthenticator(Authenticator):
    """Recognizes `Authorization: ApiKey <key>` and `X-API-Key: <key>`.

    Refusals are all the same: they do not say whether a key is unknown, revoked or expired.

    Args:
        keys: Where keys are found.
        clock: For expiry, and for the age of answers.
        cache_ttl_s: Seconds for which an answer is believed; 0 means none is kept.
        cache_size: Answers kept at most: this many good ones and as many bad ones. They are kept
            apart, so that a flood of guesses cannot push out the keys in use.
        used: Told the id of each accepted key; must not block.
    """

    def __init__(
        self,
        keys: ApiKeyRepository,
        *,
        clock: Clock,
        cache_ttl_s: float,
        cache_size: int,
        used: Callable[[str], None],
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._ttl_s = cache_ttl_s
        self._size = cache_size
        self._used = used
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._unknown: OrderedDict[bytes, float] = OrderedDict()
        self._lookups: dict[bytes, _Lookup] = {}

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        if credentials.scheme == "apikey":
            text = credentials.token or ""
        elif credentials.api_key is not None:
            text = credentials.api_key
        else:
            return None
        try:
            secret = ApiKeySecret.parse(text)
        except Invalid:
            _refuse()
        hashed = secret.hashed
        now = self._clock.monotonic()
        known = self._known.get(hashed)
        if known is None or known.stale_at <= now:
            if self._unknown.get(hashed, now) > now:
                _refuse()
            known = await self._look_up(hashed)
            if known is None:
                _refuse()
        if not known.api_key.accepts(secret, self._clock.now()):
            _refuse()
        self._used(known.api_key.id)
        return known.principal

    async def _look_up(self, hashed: bytes) -> _Known | None:
        """Ask the store, once for all who ask about the same key at the same time."""
        if self._ttl_s <= 0:
            api_key = await self._keys.find_by_hash(hashed)
            return None if api_key is None else _Known(api_key, 0)
        while (running := self._lookups.get(hashed)) is not None:
            await running.done.wait()
            if running.error is not None:
                raise running.error
            if running.is_answered:
                return running.known
            # Its caller was cancelled: one of those that waited for it takes over.
        lookup = self._lookups[hashed] = _Lookup()
        try:
            lookup.known = await self._look_up_alone(hashed)
            lookup.is_answered = True
        except JustStorageError as error:
            lookup.error = error
            raise
        finally:
            del self._lookups[hashed]
            lookup.done.set()
        return lookup.known

    async def _look_up_alone(self, hashed: bytes) -> _Known | None:
        # The age of an answer counts from before the question: the key may have been revoked while
        # the answer was under way.
        stale_at = self._clock.monotonic() + self._ttl_s
        api_key = await self._keys.find_by_hash(hashed)
        if api_key is None:
            self._known.pop(hashed, None)
            _keep(self._unknown, hashed, stale_at, self._size)
            return None
        known = _Known(api_key, stale_at)
        self._unknown.pop(hashed, None)
        _keep(self._known, hashed, known, self._size)
        return known


def _refuse() -> NoReturn:
    raise Unauthenticated("the API key is not valid") from None


def _keep(cache: OrderedDict[bytes, AnswerT], hashed: bytes, answer: AnswerT, size: int) -> None:
    cache[hashed] = answer
    cache.move_to_end(hashed)
    while len(cache) > size:
        cache.popitem(last=False)
