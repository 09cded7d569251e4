"""Requests that nobody thought of, made from the OpenAPI document, against the real service.

Every check of schemathesis: no 5xx, no answer that the document does not have, none whose fields
or body are not as described, no wrong request that is accepted, none that is right and refused,
nothing without a credential, no method that is not there. A longer run:

    JUSTSTORAGE_TEST_SCHEMA_EXAMPLES=500 scripts/test tests/schema -n 0 --timeout 3600
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest

from tests.wire.wire import KEY, Service

EXAMPLES = int(os.environ.get("JUSTSTORAGE_TEST_SCHEMA_EXAMPLES", "4"))
IS_LONG = EXAMPLES >= 10
SECONDS_MAX = 120 + 10 * EXAMPLES

RIGHT = ["2xx", "3xx", "401", "403", "404", "409", "412", "416", "422"]
"""What may come of a request that keeps to the document: the state of things can refuse it."""

WRONG = ["400", "401", "403", "404", "405", "409", "412", "413", "415", "416", "422", "431"]
"""What may come of one that does not: with several mistakes in it, any of them may be told."""

BEYOND = {
    # Rules that a schema cannot tell, by operation: what else is 400.
    "listObjects": "a cursor must come from a page of the same query",
    "listApiKeys": "a cursor must come from a page of the same query",
    "searchObjects": "a cursor must come from a page, and a range must not end before it begins",
    "createApiKey": "an expiry must lie ahead",
    "changeApiKey": "an expiry must lie ahead, and tenants do not change",
    "createObject": "digests are those of the body, and metadata are JSON in a header",
    "putObjectByKey": "digests are those of the body, and metadata are JSON in a header",
    "changeObject": "metadata have a size and a depth, and text has no NUL",
    "appendToUpload": "numbers have no more than 18 digits",
    "copyObject": "keys are counted in bytes, and text has no NUL",
    # Entity tags have a pattern, which its values at the edges do not keep to (`If-Match: 0`).
    "deleteObject": "a list of entity tags has quotes",
    "deleteObjectByKey": "a list of entity tags has quotes",
    "getObject": "a list of entity tags has quotes",
    "getObjectByKey": "a list of entity tags has quotes",
    "headObject": "a list of entity tags has quotes",
    "headObjectByKey": "a list of entity tags has quotes",
}


HOOKS = """\
import schemathesis

# A media type of tus, whose bodies are bytes as any others.
schemathesis.serializer.alias("application/offset+octet-stream", "application/octet-stream")
"""


def configured(key: str, directory: Path) -> Path:
    """The configuration: whose key, and what is right."""
    (directory / "hooks.py").write_text(HOOKS)
    lines = [f'hooks = "{directory / "hooks.py"}"']
    lines += ["[auth.openapi.apiKey]", f'api_key = "{key}"', "[checks.positive_data_acceptance]"]
    lines += [f"expected-statuses = {json.dumps(RIGHT)}"]
    lines += ["[checks.negative_data_rejection]", f"expected-statuses = {json.dumps(WRONG)}"]
    for name in BEYOND:
        lines += [
            "[[operations]]",
            f'include-operation-id = "{name}"',
            "[operations.checks.positive_data_acceptance]",
            f"expected-statuses = {json.dumps(['400', *RIGHT])}",
        ]
    # A content may be larger than there is room for, or than is allowed: its length says so.
    lines += [
        "[[operations]]",
        'include-operation-id = "createUpload"',
        "[operations.checks.positive_data_acceptance]",
        f"expected-statuses = {json.dumps(['400', '413', '507', *RIGHT])}",
        "[operations.checks.not_a_server_error]",
        'expected-statuses = ["2xx", "3xx", "4xx", "507"]',
        # Where one is required, fields that nobody knows are taken for wrong; in HTTP they are not.
        "[operations.checks.negative_data_rejection]",
        f"expected-statuses = {json.dumps(['201', *WRONG])}",
    ]
    file = directory / "schemathesis.toml"
    file.write_text("\n".join(lines) + "\n")
    return file


def run(service: Service, key: str, directory: Path, *arguments: str) -> str:
    """Run the command; what it says. It must find nothing, and must have looked."""
    finished = subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "schemathesis",
            "--config-file", configured(key, directory),
            "run", f"http://127.0.0.1:{service.port}/schema/openapi.json",
            "--checks", "all", "--max-examples", str(EXAMPLES), "--continue-on-failure",
            "--workers", "2", "--generation-database", "none", "--no-color",
            # A busy machine makes nothing wrong.
            "--suppress-health-check", "too_slow",
            *(() if IS_LONG else ("--seed", "1")), *arguments,
        ],
        capture_output=True,
        text=True,
        check=False,
        cwd=directory,
        timeout=SECONDS_MAX,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stdout[-20_000:] + finished.stderr[-2000:]
    return finished.stdout


@pytest.mark.timeout(SECONDS_MAX + 30)
def test_everything_that_a_tenant_may_do(service: Service, key: str, tmp_path: Path) -> None:
    """Examples, the edges of every schema, and random requests, right and wrong ones."""
    # The edges are many, and always the same ones: in a short run one store has to do.
    every = IS_LONG or service.metadata == "postgres"
    phases = "examples,coverage,fuzzing" if every else "examples,fuzzing"
    said = run(service, key, tmp_path, "--phases", phases)
    tested = re.search(r"Tested: (\d+)", said)
    assert tested and int(tested[1]) >= 24, said


@pytest.mark.timeout(SECONDS_MAX + 30)
def test_one_call_after_the_other(service: Service, key: str, tmp_path: Path) -> None:
    """Sequences: what was created is found, and what was deleted is not."""
    run(service, key, tmp_path, "--phases", "stateful")


@pytest.mark.timeout(SECONDS_MAX + 30)
def test_what_only_an_operator_may_do(service: Service, tmp_path: Path) -> None:
    """The calls that need the scope `admin`."""
    arguments = ["--phases", "examples,coverage,fuzzing", "--include-tag", "Administration"]
    if service.metadata == "sqlite" and not IS_LONG:
        arguments[1] = "examples,fuzzing"
    # By itself, and taken back: to collect is refused while the service is read-only.
    run(service, KEY, tmp_path, *arguments, "--exclude-operation-id", "setReadOnly")
    try:
        run(service, KEY, tmp_path, *arguments[:2], "--include-operation-id", "setReadOnly")
    finally:
        body = json.dumps({"read_only": False}).encode()
        fields = "Content-Type: application/json"
        answer = service.ask("POST", "/v1/admin/read-only", fields, body=body)
        assert answer.status == 200, answer
