"""The access line: the same facts as JSON and as a record, whatever a request looked like."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from juststorage.config import Limits, Log
from juststorage.domain import Principal
from juststorage.runtime import line_handler, set_up_logging
from juststorage_api._access_log import AccessLog
from juststorage_api._exchange import Exchange

pytest_plugins = ["juststorage.testing.fixtures"]

KEY = "js_" + "a" * 12 + "_" + "b" * 43


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Puts the process's logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


async def nothing(*_: Any) -> Any:
    """No client."""


def exchange(method: str = "GET", path: bytes = b"/v1/objects", **facts: Any) -> Exchange:
    """A request that is over."""
    scope = {"method": method}
    made = Exchange(
        scope, nothing, nothing, path=path, fields={}, request_id=b"r", bounds=Limits(), facts=facts
    )
    made.status, made.sent_bytes, made.received_bytes = 200, 10, 20
    return made


def as_json(over: Exchange) -> dict[str, Any]:
    """The line of a service."""
    stream = io.StringIO()
    set_up_logging(Log(format="json"), stream)
    AccessLog().write(over, 0.0123456)
    handler = line_handler(logging.getLogger("juststorage.access"))
    assert handler is not None
    handler.flush()
    line: dict[str, Any] = json.loads(stream.getvalue())
    return line


def as_record(over: Exchange, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """The same where other handlers are."""
    caplog.clear()
    with caplog.at_level(logging.INFO, "juststorage.access"):
        logger = logging.getLogger("juststorage.access")
        logger.addHandler(caplog.handler)
        try:
            AccessLog().write(over, 0.0123456)
        finally:
            logger.removeHandler(caplog.handler)
    record = caplog.records[0]
    return {"message": record.getMessage(), "fields": vars(record)["juststorage_fields"]}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", b"/v1/objects/by-key/docs/acme/a%20b"),
        ("PROPFIND", b'/"quoted"\\back'),
        ("GET", b"/\xff\x00\x1f"),
        ('"', b""),
    ],
)
async def test_both_ways_say_the_same(
    method: str, path: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """No byte of a path breaks a line, and how it is written changes nothing of it."""
    over = exchange(method, path, request_id="r-1", tenant_id="acme", trace_id="t", worker=2)
    over.code = "not_found"
    over.principal = Principal(subject='key:"x"', tenants=None, scopes=frozenset())
    line, record = as_json(over), as_record(over, caplog)
    assert line["message"] == record["message"]
    assert line["fields"] == record["fields"]
    assert line["fields"]["duration_ms"] == 12.346
    assert line["fields"]["subject"] == 'key:"x"'


async def test_what_is_not_known_is_absent() -> None:
    """No field says null."""
    assert as_json(exchange(request_id="r-1"))["fields"].keys() == {
        "method",
        "path",
        "status",
        "duration_ms",
        "sent_bytes",
        "received_bytes",
        "request_id",
    }


async def test_whoever_runs_the_service_adds_fields() -> None:
    """A program's own fields are in every line of its requests."""
    fields = as_json(exchange(request_id="r-1", pod="blue", load=0.5))["fields"]
    assert (fields["pod"], fields["load"], fields["request_id"]) == ("blue", 0.5, "r-1")


async def test_a_key_in_a_path_is_not_told() -> None:
    """Neither among the fields nor in the message."""
    line = as_json(exchange(path=f"/v1/objects/{KEY}".encode()))
    assert KEY not in json.dumps(line)
    assert line["fields"]["path"] == "/v1/objects/js_***"
