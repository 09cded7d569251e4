"""Spans of time that options may have, in seconds."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

__all__ = ["PositiveSeconds", "Retention"]

Retention = Annotated[float, Meta(ge=0, le=10 * 365 * 86_400)]
PositiveSeconds = Annotated[float, Meta(gt=0, le=86_400)]
