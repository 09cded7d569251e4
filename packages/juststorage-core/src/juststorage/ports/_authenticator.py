"""Authenticator: from credentials to a principal.

The configured authenticators form a chain. Each is asked in turn until one knows the sender, or
refuses the credentials; where none does either, the request is refused.

**Durability.** An authenticator keeps nothing. What it remembers of an answer may be used for 5 s
at most, then it must have asked again: that is how long a revoked credential may still work.

**Cancellation.** A request may be cancelled while it is being authenticated; nothing may depend on
having come to an end.

**Errors.** `Unauthenticated` for credentials of its kind that are not valid, `Unavailable` where it
cannot decide now. Neither tells anything of the credentials: their text goes to the client.

**Concurrency.** Called for many requests at once, on the event loop, which it must not block.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import msgspec

from juststorage.domain import Principal

__all__ = ["Authenticator", "Credentials"]


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about its sender; at most one of `scheme` and `api_key` is set.

    Args:
        scheme: The scheme of the Authorization header, lower case: `bearer`, `apikey`.
        token: The rest of the Authorization header.
        api_key: The X-API-Key header.
        raw_headers: All header fields, lower-case names, as received.
        peer: Address of the connection's other end; None where there is none.
    """

    scheme: str | None = None
    token: str | None = None
    api_key: str | None = None
    raw_headers: Sequence[tuple[bytes, bytes]] = ()
    peer: str | None = None

    def header(self, name: str) -> list[str]:
        """Every value of a header field, for authenticators that trust a proxy.

        Decoded only when asked for: most authenticators never do.
        """
        wanted = name.lower().encode("latin-1")
        return [value.decode("latin-1") for found, value in self.raw_headers if found == wanted]

    def __repr__(self) -> str:
        return f"Credentials(scheme={self.scheme!r}, peer={self.peer!r})"


class Authenticator(ABC):
    """One link of the authentication chain."""

    @abstractmethod
    async def authenticate(self, credentials: Credentials) -> Principal | None:
        """Recognize the sender.

        Called for every request, so an answer should come from memory where it can; a revoked
        credential may be accepted for 5 s at most.

        Returns:
            The principal, or None when these credentials are of a kind that this authenticator
            does not handle: the next one in the chain is asked then.

        Raises:
            Unauthenticated: The credentials are of its kind and not valid. The chain ends here.
            Unavailable: It cannot decide now.
        """
