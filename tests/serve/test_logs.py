"""The log of a whole service: one form for every library, and what each line has."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

MEMBERS = {"timestamp", "level", "target", "message", "fields"}
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def call(server: Any, key: str, method: str, target: str, **fields: str) -> int:
    """A request: its status."""
    connection = http.client.HTTPConnection(*server.address, timeout=30)
    try:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        connection.request(method, target, headers={"X-API-Key": key, **headers})
        response = connection.getresponse()
        response.read()
        return response.status
    finally:
        connection.close()


def test_every_line_of_everyone(serve: Any, tmp_path: Path) -> None:
    """JSON from the first line to the last, with ids, and without the keys."""
    settings = {"JUSTSTORAGE__LOG__LEVEL": "debug"}
    server = serve("--data-dir", "data", environment=settings)
    key = (tmp_path / "data" / "admin.key").read_text().strip()
    ids = {"X_Request_Id": "request-1", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert call(server, key, "GET", "/v1/objects?tenant_id=acme", **ids) == 200
    assert call(server, key, "GET", "/v1/objects/x?tenant_id=acme", X_Request_Id="request-2") == 400
    assert call(server, "js_000000000000_wrong-key-of-somebody", "GET", "/v1/usage") == 401
    with socket.create_connection(server.address, timeout=30) as wire:
        wire.sendall(b"\x16\x03\x01 no HTTP at all\r\n\r\n")
        wire.recv(100)
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.lines]
    assert all(line.keys() - {"exception"} == MEMBERS for line in lines)
    access = {
        line["fields"]["request_id"]: line["fields"]
        for line in lines
        if line["target"] == "juststorage.access"
    }
    good, bad = access["request-1"], access["request-2"]
    assert (good["trace_id"], good["tenant_id"], good["status"]) == (TRACE, "acme", 200)
    assert good["duration_ms"] > 0
    assert good["sent_bytes"] > 0
    assert (bad["code"], bad["tenant_id"], bad["status"]) == ("invalid_request", "acme", 400)
    assert "trace_id" not in bad
    text = "\n".join(server.lines)
    assert key not in text
    assert "wrong-key-of-somebody" not in text


def test_a_part_of_the_access_lines(serve: Any, tmp_path: Path) -> None:
    """The ratio is for what went well; a failure always has its line."""
    settings = {"JUSTSTORAGE__LOG__ACCESS_RATIO": "0.25"}
    server = serve("--data-dir", "data", environment=settings)
    key = (tmp_path / "data" / "admin.key").read_text().strip()
    for _ in range(40):
        assert call(server, key, "GET", "/v1/objects?tenant_id=acme") == 200
    for _ in range(3):
        assert call(server, key, "GET", "/v1/nothing") == 404
    assert server.stop() == 0
    lines = [json.loads(line) for line in server.lines]
    statuses = [line["fields"]["status"] for line in lines if line["target"].endswith(".access")]
    assert (statuses.count(200), statuses.count(404)) == (10, 3)
