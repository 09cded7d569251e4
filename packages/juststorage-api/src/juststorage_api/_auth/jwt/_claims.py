"""From claims to a principal: what must hold, and what each claim means here."""

from __future__ import annotations

import math
import re
from typing import Any, Final

import msgspec

from juststorage.domain import NamespacePattern, Principal, Scope, TenantId
from juststorage.errors import InvalidName
from juststorage_api._auth._jwt_options import JwtOptions
from juststorage_api._auth.jwt._token import BadToken, ParsedToken

__all__ = ["ClaimRules", "Identity"]

_SUBJECT: Final = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,256}")
_ENTRIES_MAX: Final = 256
_SCOPES: Final = frozenset(map(str, Scope))


class Identity(msgspec.Struct, frozen=True):
    """A caller, and until when (seconds since 1970) that may be believed."""

    principal: Principal
    expires_s: float


class ClaimRules:
    """What the options say about claims."""

    def __init__(self, options: JwtOptions) -> None:
        self._options = options
        self._audience = frozenset(options.audience)
        self._types = frozenset(map(_bare_type, options.types))

    def identity(self, token: ParsedToken, now_s: float) -> Identity:
        """Who a token with a good signature is about.

        Raises:
            BadToken: It is for others, not valid now, or its claims make no sense.
        """
        options, claims = self._options, token.claims
        if token.kind is not None and _bare_type(token.kind) not in self._types:
            raise BadToken("typ is another one")
        if claims.get("iss") != options.issuer:
            raise BadToken("iss is another one")
        if not self._audience & set(_texts(claims.get("aud"), "aud")):
            raise BadToken("aud is another one")
        expires_s = self._checked_times(claims, now_s)
        principal = Principal(
            subject=f"jwt:{self._subject(claims)}",
            tenants=self._tenants(claims),
            scopes=self._scopes(claims),
            namespaces=self._namespaces(claims),
        )
        return Identity(principal, expires_s)

    def _checked_times(self, claims: dict[str, Any], now_s: float) -> float:
        leeway_s = self._options.leeway_s
        expires_s = _time(claims, "exp")
        if expires_s is None:
            raise BadToken("no exp")
        if now_s >= expires_s + leeway_s:
            raise BadToken("exp is past")
        for name in ("nbf", "iat"):
            time_s = _time(claims, name)
            if time_s is not None and now_s < time_s - leeway_s:
                raise BadToken(f"{name} is to come")
        return expires_s + leeway_s

    def _subject(self, claims: dict[str, Any]) -> str:
        subject = _claim(claims, self._options.subject_claim)
        if not isinstance(subject, str) or not _SUBJECT.fullmatch(subject):
            raise BadToken("no usable subject")
        return subject

    def _tenants(self, claims: dict[str, Any]) -> frozenset[TenantId] | None:
        words = self._listed(claims, self._options.tenants_claim, self._options.default_tenants)
        if "*" in words:
            return None
        try:
            return frozenset(map(TenantId, words))
        except InvalidName:
            raise BadToken("a tenant is no name") from None

    def _scopes(self, claims: dict[str, Any]) -> frozenset[Scope]:
        options = self._options
        found: set[str] = set()
        for word in self._listed(claims, options.scopes_claim, options.default_scopes):
            found.update(options.scope_map.get(word, (word,)))
        return frozenset(Scope(word) for word in found & _SCOPES)

    def _namespaces(self, claims: dict[str, Any]) -> frozenset[NamespacePattern] | None:
        if self._options.namespaces_claim is None:
            return None
        words = self._listed(claims, self._options.namespaces_claim, ())
        try:
            return frozenset(map(NamespacePattern, words))
        except InvalidName:
            raise BadToken("a namespace is no name") from None

    @staticmethod
    def _listed(
        claims: dict[str, Any], name: str | None, default: tuple[str, ...]
    ) -> tuple[str, ...]:
        value = None if name is None else _claim(claims, name)
        if value is None:
            return default
        if isinstance(value, str):
            value = value.split()
        words = _texts(value, name or "")
        if len(words) > _ENTRIES_MAX:
            raise BadToken(f"{name} has too many entries")
        return words


def _claim(claims: dict[str, Any], name: str) -> Any:
    """A claim by its name, or by a path: `realm_access.roles`. Names with dots come first."""
    if name in claims:
        return claims[name]
    value: Any = claims
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None
        value = value[part]
    return value


def _texts(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise BadToken(f"{name} is neither text nor a list of it")


def _time(claims: dict[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None and name not in claims:
        return None
    # bool is an int to Python, and a date to nobody.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadToken(f"{name} is no number")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        raise BadToken(f"{name} is no time")
    return seconds


def _bare_type(kind: str) -> str:
    """`application/at+jwt` and `at+jwt` are the same (RFC 7515, 4.1.9)."""
    return kind.lower().removeprefix("application/")
