"""Which failed requests the audit log calls changes of which nobody knows the outcome."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from juststorage.config import Limits
from juststorage_api._audit_log import AuditLog
from juststorage_api._exchange import Exchange


async def _never(message: Any = None) -> Any:
    raise AssertionError("nothing is sent or received")


def _failed(method: str, path: bytes) -> Exchange:
    scope = {"type": "http", "method": method, "client": ("192.0.2.1", 1)}
    exchange = Exchange(
        scope, _never, _never, path=path, fields={}, request_id=b"r" * 8, bounds=Limits()
    )
    exchange.status = 503
    return exchange


@pytest.mark.parametrize(
    ("method", "path", "events"),
    [
        ("POST", b"/v1/objects", ["request unknown"]),
        ("POST", b"/v1/objects/delete", ["request unknown"]),
        ("PATCH", b"/v1/objects/01a21098-f290-7cc4-9518-d64de021c446", ["request unknown"]),
        ("POST", b"/v1/objects/search", []),
        ("GET", b"/v1/objects", []),
        ("GET", b"/health/ready", []),
    ],
)
def test_what_could_have_changed_something(
    caplog: pytest.LogCaptureFixture, method: str, path: bytes, events: list[str]
) -> None:
    """A search is sent like a change and is none: a store that is away leaves no doubt about it."""
    with caplog.at_level(logging.INFO, logger="juststorage.audit"):
        AuditLog(enabled=True).write(_failed(method, path))
    assert caplog.messages == events
