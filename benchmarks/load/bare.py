"""An application that answers 4 KiB from memory: what the server alone costs.

Usage: python -m benchmarks.load.bare PORT
"""

from __future__ import annotations

import sys
from typing import Any

from granian import Granian
from granian.constants import Interfaces

_BODY = b"x" * 4096


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer whatever is asked."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": _BODY})


if __name__ == "__main__":
    Granian(
        "benchmarks.load.bare:app",
        port=int(sys.argv[1]),
        interface=Interfaces.ASGINL,
        log_enabled=False,
    ).serve()
