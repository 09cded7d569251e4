"""ManageApiKeys: who may create, see and change which credentials.

Three rules, for every caller alike. Nobody hands on what they do not hold. Nobody sees a key that
reaches further than their own: it is answered as one that does not exist. Nobody locks themselves
out: a key neither revokes nor weakens itself, and the last admin key stays (the store sees to that,
in the transaction of the change).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from datetime import UTC, datetime
from typing import Final

import msgspec

from juststorage.domain import (
    API_KEY_NAME_LENGTH_MAX,
    ApiKey,
    ApiKeySecret,
    NamespacePattern,
    ObjectId,
    Principal,
    Scope,
    TenantId,
    within_all,
)
from juststorage.errors import (
    Invalid,
    InvalidCursor,
    InvalidState,
    NotFound,
    ScopeMissing,
    TenantForbidden,
)
from juststorage.ports import ApiKeyChange, Clock, MetadataStore

__all__ = ["ApiKeyListing", "IssuedApiKey", "ManageApiKeys", "NewApiKey"]

_NOT_FOUND: Final = "there is no such API key"
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_ENTRIES_MAX: Final = 256
_BATCH_SIZE: Final = 500
_TAG_BYTES: Final = 16
_CURSOR_LENGTH_MAX: Final = 256


class NewApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """What a key is to be. None means all: all tenants, all namespaces, no end."""

    name: str
    tenants: frozenset[TenantId] | None
    scopes: frozenset[Scope]
    namespaces: frozenset[NamespacePattern] | None = None
    expires_at: datetime | None = None


class IssuedApiKey(msgspec.Struct, frozen=True):
    """A key and its secret, which nobody can find out again."""

    api_key: ApiKey
    secret: ApiKeySecret


class ApiKeyListing(msgspec.Struct, frozen=True):
    """Some keys by ascending id, oldest first, and where to go on; None on the last page."""

    api_keys: list[ApiKey]
    next_cursor: str | None


class ManageApiKeys:
    """Callers need the scope `keys:manage`; that they have it is checked before, as any scope is.

    Args:
        metadata: Where keys are kept.
        clock: For what is past already.
        secret: Signs cursors; the same in every process.
    """

    def __init__(self, metadata: MetadataStore, *, clock: Clock, secret: bytes) -> None:
        self._keys = metadata.api_keys
        self._clock = clock
        self._secret = secret

    async def create(self, caller: Principal, new: NewApiKey) -> IssuedApiKey:
        """Issue a key.

        Raises:
            Invalid: The name, a list or the expiry breaks a rule.
            TenantForbidden: It has a tenant or namespace that the caller does not hold.
            ScopeMissing: It has a scope that the caller does not hold.
        """
        _check_name(new.name)
        _check_entries("tenants", new.tenants)
        _check_entries("scopes", new.scopes)
        _check_entries("namespaces", new.namespaces)
        expires_at = self._checked_expiry(new.expires_at)
        if not caller.holds_tenants(new.tenants):
            raise TenantForbidden("this credential does not hold all of those tenants")
        if not within_all(new.namespaces, caller.namespaces):
            raise TenantForbidden("this credential does not hold all of those namespaces")
        _check_scopes(caller, new.scopes)
        secret = ApiKeySecret.new()
        created = await self._keys.create(
            ApiKey(
                id=ObjectId.new(),
                name=new.name,
                prefix=secret.prefix,
                hashed=secret.hashed,
                tenants=new.tenants,
                scopes=new.scopes,
                namespaces=new.namespaces,
                created_at=self._clock.now(),
                expires_at=expires_at,
                last_used_at=None,
                is_active=True,
            )
        )
        return IssuedApiKey(created, secret)

    async def find(self, caller: Principal, key_id: ObjectId) -> ApiKey:
        """One key.

        Raises:
            NotFound: There is none that the caller may see.
        """
        found = await self._keys.find(key_id)
        if found is None or not _is_visible(caller, found):
            raise NotFound(_NOT_FOUND)
        return found

    async def page(
        self, caller: Principal, *, limit: int, cursor: str | None = None
    ) -> ApiKeyListing:
        """Keys that the caller may see, active or not.

        Costs what all keys number when the caller sees few of them: services have hundreds.

        Raises:
            InvalidCursor: The cursor is not from this store.
        """
        after = self._opened(cursor) if cursor else None
        seen: list[ApiKey] = []
        while len(seen) <= limit:
            batch = await self._keys.page(after=after, limit=_BATCH_SIZE)
            seen += [each for each in batch if _is_visible(caller, each)]
            if len(batch) < _BATCH_SIZE:
                break
            after = batch[-1].id
        shown = seen[:limit]
        return ApiKeyListing(shown, self._sealed(shown[-1].id) if len(seen) > limit else None)

    async def change(self, caller: Principal, key_id: ObjectId, change: ApiKeyChange) -> ApiKey:
        """Change a key.

        Raises:
            Invalid: The name, the scopes or the expiry breaks a rule.
            NotFound: There is none that the caller may see.
            ScopeMissing: It would get a scope that the caller does not hold.
            InvalidState: The caller would weaken its own key, or it is the last admin key.
        """
        if change.name is not msgspec.UNSET:
            _check_name(change.name)
        if change.expires_at is not msgspec.UNSET:
            expires_at = self._checked_expiry(change.expires_at)
            change = msgspec.structs.replace(change, expires_at=expires_at)
        if change.scopes is not msgspec.UNSET:
            _check_entries("scopes", change.scopes)
        before = await self.find(caller, key_id)
        if change.scopes is not msgspec.UNSET:
            _check_scopes(caller, change.scopes)
        if caller.subject == before.principal.subject and _weakens(before, change):
            raise InvalidState("an API key cannot revoke or weaken itself")
        return await self._keys.update(key_id, change)

    async def revoke(self, caller: Principal, key_id: ObjectId) -> ApiKey:
        """Make a key useless, for good unless someone activates it again.

        Raises:
            NotFound, InvalidState: As `change`.
        """
        return await self.change(caller, key_id, ApiKeyChange(is_active=False))

    def _checked_expiry(self, expires_at: datetime | None) -> datetime | None:
        if expires_at is None:
            return None
        try:
            expires_at = expires_at.astimezone(UTC)
        except OverflowError:
            raise Invalid("expires_at is out of range") from None
        if expires_at <= self._clock.now():
            raise Invalid("expires_at is in the past")
        return expires_at

    def _sealed(self, key_id: str) -> str:
        raw = self._tag(key_id.encode()) + key_id.encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    def _opened(self, cursor: str) -> str:
        try:
            padded = cursor[:_CURSOR_LENGTH_MAX] + "=" * (-len(cursor) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raw = b""
        tag, payload = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(payload)):
            raise InvalidCursor("the cursor is not valid for this query")
        return payload.decode("ascii")

    def _tag(self, payload: bytes) -> bytes:
        bound = b"api-keys\x00" + payload
        return hmac.new(self._secret, bound, hashlib.sha256).digest()[:_TAG_BYTES]


def _is_visible(caller: Principal, api_key: ApiKey) -> bool:
    return caller.holds(
        tenants=api_key.tenants, scopes=api_key.scopes, namespaces=api_key.namespaces
    )


def _weakens(before: ApiKey, change: ApiKeyChange) -> bool:
    if change.is_active is False:
        return True
    if change.scopes is not msgspec.UNSET and not before.scopes <= change.scopes:
        # `admin` holds every scope, so what it loses beside it is no loss.
        return Scope.ADMIN not in change.scopes
    if change.expires_at is msgspec.UNSET or change.expires_at is None:
        return False
    return before.expires_at is None or change.expires_at < before.expires_at


def _check_name(name: str) -> None:
    if not 1 <= len(name) <= API_KEY_NAME_LENGTH_MAX or _CONTROL.search(name):
        raise Invalid(
            f"name must have 1 to {API_KEY_NAME_LENGTH_MAX} characters, none of them for control"
        )


def _check_entries(what: str, entries: frozenset[str] | None) -> None:
    if entries is not None and not 1 <= len(entries) <= _ENTRIES_MAX:
        raise Invalid(f"{what} must have 1 to {_ENTRIES_MAX} entries")


def _check_scopes(caller: Principal, scopes: frozenset[Scope]) -> None:
    for scope in sorted(scopes):
        try:
            caller.require_scope(scope)
        except ScopeMissing:
            raise ScopeMissing(
                f"this credential does not hold the scope {scope}, and cannot grant it",
                scope=str(scope),
            ) from None
