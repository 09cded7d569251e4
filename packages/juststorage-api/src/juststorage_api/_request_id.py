"""Request ids: the caller's own where it is well formed, else ours."""

from __future__ import annotations

import re
import secrets
from itertools import count
from typing import Any, Final

__all__ = ["RequestIds", "add_trace"]

_FORM: Final = re.compile(rb"[A-Za-z0-9._-]{8,128}")

_TRACE: Final = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-.*")
"""W3C Trace Context, 2.2.2; versions to come may go on behind the flags."""


def add_trace(facts: dict[str, Any], traceparent: bytes) -> None:
    """Add the id of the caller's trace to what is logged, if it is well formed."""
    found = _TRACE.fullmatch(traceparent)
    if found is not None:
        facts["trace_id"] = found[1].decode("ascii")


class RequestIds:
    """Ours are random digits of this process and a number: unique, and cheap."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(8).encode() + b"-"
        self._numbers = count(1)

    def choose(self, offered: bytes | None) -> bytes:
        """The id of a request that offers this one."""
        if offered is not None and _FORM.fullmatch(offered):
            return offered
        return b"%b%08x" % (self._prefix, next(self._numbers))
