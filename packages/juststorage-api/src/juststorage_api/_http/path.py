"""Paths, from the bytes on the wire.

The decoded path that servers offer is of no use here: `%2F` and `/` look alike in it, and what was
not UTF-8 has been replaced. So every decision is taken on the raw path.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from juststorage.domain import Namespace, ObjectKey, TenantId
from juststorage.errors import InvalidName, NotFound
from juststorage_api._http.percent import decode

__all__ = ["BY_KEY_PREFIX", "OBJECTS_PREFIX", "UPLOADS_PREFIX", "by_key", "logged", "raw_path"]

OBJECTS_PREFIX: Final = b"/v1/objects/"
BY_KEY_PREFIX: Final = b"/v1/objects/by-key/"
UPLOADS_PREFIX: Final = b"/v1/uploads/"

_API_KEY: Final = re.compile(r"js_[0-9a-z]{12}_[A-Za-z0-9_-]{43}")


def raw_path(scope_path: str, scope_raw_path: bytes | None) -> bytes:
    """The path as sent, for servers that do not tell it too (`raw_path` is optional in ASGI)."""
    if scope_raw_path is None:
        return quote(scope_path, safe="/:@!$&'()*+,;=-._~").encode()
    return scope_raw_path


def logged(path: bytes) -> str:
    """The path as logs have it: what has the form of an API key is not told.

    Somebody who puts a key where a name belongs must not find it in every log.
    """
    text = path.decode("ascii", "replace")
    return _API_KEY.sub("js_***", text) if "js_" in text else text


def by_key(path: bytes) -> tuple[Namespace, TenantId, ObjectKey]:
    """Namespace, tenant and key of a path that begins with `BY_KEY_PREFIX`.

    The key is everything behind the third slash, decoded once: `a%2Fb` and `a/b` are the same key,
    `..` and `%2e%2e` are two dots and nothing more, `%2525` is the key `%25`.

    Raises:
        NotFound: There is no third segment: no such route.
        InvalidName: A part breaks its rules.
    """
    parts = path[len(BY_KEY_PREFIX) :].split(b"/", 2)
    if len(parts) != 3:
        raise NotFound("there is no such resource")
    namespace, tenant_id, key = parts
    return _namespace(namespace), _tenant_id(tenant_id), ObjectKey(_decoded("key", key))


# Few of these are in use at any time, and each is in every path: remembered, they cost a tenth.
@lru_cache(maxsize=1024)
def _namespace(raw: bytes) -> Namespace:
    return Namespace(_decoded("namespace", raw))


@lru_cache(maxsize=1024)
def _tenant_id(raw: bytes) -> TenantId:
    return TenantId(_decoded("tenant_id", raw))


def _decoded(what: str, raw: bytes) -> str:
    try:
        return decode(raw)
    except ValueError as error:
        raise InvalidName(f"{what} is malformed in the path: {error}") from None
