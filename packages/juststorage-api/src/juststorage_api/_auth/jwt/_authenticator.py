"""JwtAuthenticator: bearer tokens, each verified once and then remembered until it expires."""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from typing import NoReturn

from juststorage.domain import Principal
from juststorage.errors import Unauthenticated
from juststorage.ports import Authenticator, Clock, Credentials
from juststorage_api._auth.jwt._claims import ClaimRules, Identity
from juststorage_api._auth.jwt._rings import RingSource
from juststorage_api._auth.jwt._token import BadToken, parse

__all__ = ["JwtAuthenticator"]


class JwtAuthenticator(Authenticator):
    """Recognizes `Authorization: Bearer <token>`.

    Refusals are all the same for the client; the debug log has the reason, without the token.

    Args:
        rules: What claims must be, and what they mean.
        clock: For `exp` and `nbf`.
        cache_size: Verified tokens remembered, by their hash: a dump of memory has no tokens.
        logger: For reasons.
    """

    def __init__(
        self, rules: ClaimRules, *, clock: Clock, cache_size: int, logger: logging.Logger
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._cache_size = cache_size
        self._logger = logger
        self._cache: OrderedDict[bytes, Identity] = OrderedDict()
        self._epoch = 0
        self.source: RingSource | None = None

    async def authenticate(self, credentials: Credentials) -> Principal | None:
        if credentials.scheme != "bearer":
            return None
        text = credentials.token or ""
        try:
            mark = hashlib.sha256(text.encode("ascii")).digest()
        except UnicodeEncodeError:
            _refuse()
        known = self._cache.get(mark)
        if known is not None:
            if self._clock.now().timestamp() < known.expires_s:
                return known.principal
            del self._cache[mark]
            _refuse()
        try:
            return await self._verified(text, mark)
        except BadToken as error:
            self._logger.debug("a token is refused: %s", error)
            _refuse()

    def forget(self) -> None:
        """Believe nothing any more: there are other keys."""
        self._epoch += 1
        self._cache.clear()

    async def _verified(self, text: str, mark: bytes) -> Principal:
        assert self.source is not None, "the authenticator is open"
        token = parse(text)
        # What a token says about itself is cheap to check, and spares work for those that are not
        # for us; nothing of it is believed before the signature is.
        identity = self._rules.identity(token, self._clock.now().timestamp())
        ring = await self.source.current(token.key_id)
        epoch = self._epoch
        ring.verify(text, token)
        if epoch == self._epoch and self._cache_size:
            self._cache[mark] = identity
            while len(self._cache) > self._cache_size:
                self._cache.popitem(last=False)
        return identity.principal


def _refuse() -> NoReturn:
    raise Unauthenticated("the token is not valid") from None
