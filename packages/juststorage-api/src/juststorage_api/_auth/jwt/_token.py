"""A compact token taken apart, with nothing believed yet.

Strict where libraries are lenient: no member twice (two readers would read two things), no header
that brings a key along or changes what is signed, nothing that is larger than tokens are.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from typing import Any, Final, NoReturn

import msgspec

__all__ = ["BadToken", "ParsedToken", "parse"]

TOKEN_BYTES_MAX: Final = 8192
_HEADER_BYTES_MAX: Final = 2048
_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_REFUSED_HEADERS: Final = frozenset(
    # A key, or where to find one, from whoever made the token; and what alters the meaning of the
    # rest (RFC 7515, 4.1.11; RFC 7516; RFC 7797).
    {"jku", "jwk", "x5u", "x5c", "crit", "b64", "enc", "zip"}
)
_KID_LENGTH_MAX: Final = 256


class BadToken(Exception):
    """Why a token is not accepted: for the debug log, never for the client."""


class ParsedToken(msgspec.Struct, frozen=True):
    """Header and claims of a token whose signature nobody has looked at."""

    algorithm: str
    key_id: str | None
    kind: str | None
    claims: dict[str, Any]


def parse(text: str) -> ParsedToken:
    """Take a token apart.

    Raises:
        BadToken: It is not a signed token in compact form, or has something that none may have.
    """
    if len(text) > TOKEN_BYTES_MAX:
        raise BadToken("too large")
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadToken("not three parts of base64url")
    if len(match[1]) > _HEADER_BYTES_MAX:
        raise BadToken("header too large")
    header = _object(match[1], "header")
    refused = _REFUSED_HEADERS & header.keys()
    if refused:
        raise BadToken(f"header has {min(refused)}")
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if not isinstance(algorithm, str):
        raise BadToken("no alg")
    if "kid" in header and not (isinstance(key_id, str) and 1 <= len(key_id) <= _KID_LENGTH_MAX):
        raise BadToken("kid is no short text")
    if "typ" in header and not isinstance(kind, str):
        raise BadToken("typ is no text")
    return ParsedToken(algorithm, key_id, kind, _object(match[2], "payload"))


def _object(segment: str, what: str) -> dict[str, Any]:
    try:
        raw = base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True)
        value = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, binascii.Error, RecursionError) as error:
        raise BadToken(f"{what} is no JSON") from error
    if not isinstance(value, dict):
        raise BadToken(f"{what} is no object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member is there twice")
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")
