"""ApiKey: a credential for services, kept as a hash."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from datetime import datetime
from typing import Final, Self

import msgspec

from juststorage.domain._access import Principal, Scope
from juststorage.domain._names import NamespacePattern, TenantId
from juststorage.errors import Invalid

__all__ = ["ApiKey", "ApiKeySecret"]

_FORM: Final = re.compile(r"js_[0-9a-z]{12}_[A-Za-z0-9_-]{43}")
_PREFIX_LENGTH: Final = len("js_") + 12
_LENGTH_MIN: Final = 20
_LENGTH_MAX: Final = 256


class ApiKeySecret(msgspec.Struct, frozen=True):
    """The key itself, as its holder has it: `js_<12 letters and digits>_<256 random bits>`.

    Shown once, never stored. With 256 bits of entropy one SHA-256 is enough: there is nothing that
    a slow password hash would slow down. An operator may choose the first admin key, so `parse`
    takes any 20 to 256 visible ASCII characters.
    """

    text: str

    @classmethod
    def new(cls) -> Self:
        """A fresh key from the operating system's randomness."""
        letters = "0123456789abcdefghijklmnopqrstuvwxyz"
        prefix = "".join(secrets.choice(letters) for _ in range(12))
        return cls(f"js_{prefix}_{secrets.token_urlsafe(32)}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """Take a presented key.

        Raises:
            Invalid: It is not 20 to 256 visible ASCII characters.
        """
        if not (_LENGTH_MIN <= len(text) <= _LENGTH_MAX and text.isascii() and text.isprintable()):
            raise Invalid(f"an API key is {_LENGTH_MIN} to {_LENGTH_MAX} visible ASCII characters")
        return cls(text)

    @property
    def prefix(self) -> str:
        """The part that may be shown, to tell keys apart; empty for a key of another form."""
        return self.text[:_PREFIX_LENGTH] if _FORM.fullmatch(self.text) else ""

    @property
    def hashed(self) -> bytes:
        """SHA-256 of the whole key: what is stored, and what it is found by."""
        return hashlib.sha256(self.text.encode()).digest()

    def __repr__(self) -> str:
        return f"ApiKeySecret({self.prefix!r}...)"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key's row: found by `hashed`, shown by `prefix`. Times from the metadata store's clock."""

    id: str
    name: str
    prefix: str
    hashed: bytes
    tenants: frozenset[TenantId] | None
    scopes: frozenset[Scope]
    namespaces: frozenset[NamespacePattern] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    is_active: bool

    def accepts(self, secret: ApiKeySecret, now: datetime) -> bool:
        """Whether the presented secret proves this key at `now`; in constant time."""
        proven = hmac.compare_digest(self.hashed, secret.hashed)
        return proven and self.is_active and (self.expires_at is None or now < self.expires_at)

    @property
    def principal(self) -> Principal:
        """The caller that this key stands for."""
        return Principal(
            subject=f"api_key:{self.id}",
            tenants=self.tenants,
            scopes=self.scopes,
            namespaces=self.namespaces,
        )
