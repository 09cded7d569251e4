"""How deep JSON is nested, told without decoding it."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_deeper"]

_TOKEN: Final = re.compile(rb'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)


def is_deeper(text: bytes | bytearray, levels: int) -> bool:
    """Whether arrays and objects are nested in more than `levels` levels.

    What is not JSON has some answer or other; the decoder refuses it anyway.
    """
    if text.count(b"[") + text.count(b"{") <= levels:
        return False  # nearly always
    depth = 0
    for match in _TOKEN.finditer(text):
        token = match[0]
        if token in {b"[", b"{"}:
            depth += 1
            if depth > levels:
                return True
        elif token in {b"]", b"}"}:
            depth -= 1
    return False
