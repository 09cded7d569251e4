"""Request ids: the caller's own where it is well formed, else ours."""

from __future__ import annotations

import re
import secrets
from itertools import count
from typing import Final

__all__ = ["RequestIds"]

_FORM: Final = re.compile(rb"[A-Za-z0-9._-]{8,128}")


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
