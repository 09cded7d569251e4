"""Read-only mode: what it refuses."""

from __future__ import annotations

from typing import Final

from juststorage.errors import ReadOnly

__all__ = ["READING", "refusal"]

READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

_RETRY_AFTER_S: Final = 30


def refusal() -> ReadOnly:
    """What a change is told."""
    return ReadOnly(
        "the service is in read-only mode: objects do not change", retry_after_s=_RETRY_AFTER_S
    )
