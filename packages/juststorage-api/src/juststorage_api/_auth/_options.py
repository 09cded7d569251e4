"""The options of the authenticators."""

from __future__ import annotations

from typing import Annotated

import msgspec

from juststorage.plugins import Secret

__all__ = ["ApiKeyOptions"]


class ApiKeyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[auth.api_key]`: keys that this service issues and keeps as hashes."""

    bootstrap_key: Annotated[
        Secret | None,
        msgspec.Meta(
            description="A first admin key of your own choice, 20 to 256 visible ASCII characters."
            " It is registered at start-up unless it is known already, revoked or not."
        ),
    ] = None
    cache_ttl_s: Annotated[
        float,
        msgspec.Meta(
            ge=0,
            le=5,
            description="Seconds for which an answer about a key is reused; the time after which a"
            " revoked key is refused everywhere. 0 asks the metadata store for every request.",
        ),
    ] = 5.0
    cache_size: Annotated[
        int,
        msgspec.Meta(
            ge=1,
            le=1_000_000,
            description="Keys remembered at most, and as many refused ones.",
        ),
    ] = 4096
