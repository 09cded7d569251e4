"""IdempotencyKey: a client's own name for a request that it may have to send again."""

from __future__ import annotations

from typing import Final

import msgspec

from juststorage.errors import Invalid

__all__ = ["IdempotencyKey"]

_LENGTH_MAX: Final = 255


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The key, and what else tells one request from another.

    Args:
        text: 1 to 255 visible ASCII characters, unique among a tenant's requests.
        request: A digest of everything but the content: the method, the target, what is said about
            the object. Requests with equal keys must have equal digests.
        ttl_s: Seconds for which the first answer is kept once it is given.
    """

    text: str
    request: str
    ttl_s: float

    def __post_init__(self) -> None:
        if not (1 <= len(self.text) <= _LENGTH_MAX and all("!" <= c <= "~" for c in self.text)):
            raise Invalid(f"an idempotency key is 1 to {_LENGTH_MAX} visible ASCII characters")
