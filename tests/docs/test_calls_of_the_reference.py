"""Each command of docs/reference/http.md is typed as it stands, and the service does it."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.follow_tutorial import Block, blocks
from tests.wire.serving import served
from tests.wire.wire import KEY, Service

PAGE = (Path(__file__).parents[2] / "docs/reference/http.md").read_text(encoding="utf-8")
CALLS = [block for block in blocks(PAGE) if block.word == "sh"]
EXAMPLE_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
END = re.compile(r'(?<="expires_at": ")\d{4}')
TICKET = re.compile(r"(?<=/v1/uploads/)[A-Za-z0-9_-]+")
FILE = "content"
BY_KEY = "/v1/objects/by-key/models/acme/bert/weights.bin"


@pytest.fixture(scope="module")
def service(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    """A server with the embedded stores."""
    with served("sqlite", request, tmp_path_factory.mktemp("calls")) as running:
        yield running


def made(service: Service, method: str, target: str, body: Any) -> str:
    """The id of something that was made by a call."""
    fields = "Content-Type: application/json"
    answer = service.ask(method, target, fields, body=json.dumps(body).encode())
    assert answer.status in {200, 201}
    found: str = json.loads(answer.body)["id"]
    return found


def ticket(service: Service) -> str:
    """Of an upload that has no byte yet."""
    target = "/v1/uploads?namespace=models&tenant_id=acme"
    answer = service.ask("POST", target, f"Upload-Length: {len(FILE)}", body=b"")
    assert answer.status == 201
    return answer.headers["location"].rpartition("/")[2]


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"line-{call.line}")
def test_a_command_of_the_reference_does_it(service: Service, tmp_path: Path, call: Block) -> None:
    """On an object and a key that are there, whatever the calls before it have deleted."""
    ids = (
        made(service, "PUT", BY_KEY, "x"),
        made(
            service,
            "POST",
            "/v1/api-keys",
            {"name": "k", "tenants": ["acme"], "scopes": ["objects:read"]},
        ),
    )
    ours = ids["/v1/api-keys/" in call.text]
    command = END.sub("9999", EXAMPLE_ID.sub(ours, call.text))
    command = TICKET.sub(ticket(service), command)
    (tmp_path / "file").write_text(FILE)
    variables = {"KEY": KEY, "URL": f"http://127.0.0.1:{service.port}", "PATH": os.environ["PATH"]}
    done = subprocess.run(
        ["bash", "-c", command.replace("curl -i", "curl -sS -i")],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=True,
    )
    status = int(done.stdout.split()[1])
    assert 200 <= status < 300, done.stdout


def test_every_call_has_a_command() -> None:
    """So that none is passed over."""
    assert len(CALLS) == sum(block.word == "http" for block in blocks(PAGE)) > 20
