"""The sections for those who run the service: what it tells of itself."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

__all__ = ["Metrics"]


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service tells of itself at `/metrics`."""

    enabled: Annotated[bool, Meta(description="Answer at /metrics; else it is 404")] = True
    require_auth: Annotated[bool, Meta(description="Answer only callers with the scope admin")] = (
        False
    )
    count_interval_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="Time between two counts of all objects and bytes, which look at each"
            " stored content; longer where a count takes long; 0 for never",
        ),
    ] = 15.0
