"""The log of a whole service: one form for every library, and what each line has."""

from __future__ import annotations

import http.client
import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from juststorage_postgres.testing import empty_postgres_url, postgres_databases, postgres_server
from tests.harness import on_terminal

__all__ = ["empty_postgres_url", "postgres_databases", "postgres_server"]

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


def of_lines(text: str) -> list[dict[str, Any]]:
    """Each line, which is a line of the log and nothing else."""
    lines: list[dict[str, Any]] = [json.loads(line) for line in text.splitlines()]
    assert lines
    assert all(line.keys() - {"exception"} == MEMBERS for line in lines)
    return lines


def command(before: str, *words: str) -> list[str]:
    """A command in a process that does something of its own first."""
    return [sys.executable, "-c", f"{before}\nfrom juststorage.cli import main; main()", *words]


def test_lines_of_alembic_and_sqlalchemy(empty_postgres_url: str, tmp_path: Path) -> None:
    """`migrate up` and `down` on PostgreSQL: what both log is in the form that is promised.

    SQLAlchemy says something of its own accord only when it is asked to.
    """
    variables = {
        "PATH": os.environ["PATH"],
        "JUSTSTORAGE__METADATA__BACKEND": "postgres",
        "JUSTSTORAGE__METADATA__POSTGRES__URL": empty_postgres_url,
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
    }
    talkative = "import logging, sqlalchemy; logging.getLogger('sqlalchemy').setLevel('INFO')"
    for words in (["up"], ["down", "base", "--yes"]):
        done = subprocess.run(
            command(talkative, "migrate", *words),
            cwd=tmp_path,
            env=variables,
            capture_output=True,
            text=True,
            check=True,
        )
        lines = of_lines(done.stderr)
        steps = [each for each in lines if each["target"] == "alembic.runtime.migration"]
        assert any("Running " in each["message"] for each in steps)
        statements = [each for each in lines if each["target"].startswith("sqlalchemy.engine")]
        assert any("juststorage_version" in each["message"] for each in statements)


def test_lines_of_granian(serve: Any, tmp_path: Path) -> None:
    """Its own line at start, which we otherwise leave out, comes out as one of ours would."""
    (tmp_path / "talkative").mkdir()
    (tmp_path / "talkative/sitecustomize.py").write_text(
        "import juststorage_api._serve._granian_log as ours\nours.quiet_granian = lambda: None\n"
    )
    settings = {"PYTHONPATH": str(tmp_path / "talkative")}
    server = serve("--data-dir", "data", environment=settings)
    assert server.stop() == 0
    lines = of_lines("\n".join(server.lines))
    [granian] = [each for each in lines if "granian" in each["target"]]
    assert (granian["level"], granian["message"]) == ("WARN", "Embedded server is experimental!")


def test_what_fails_below_a_request_has_its_ids(serve: Any, tmp_path: Path) -> None:
    """A statement fails in the database: the line with the driver's error is the request's."""
    settings = {"JUSTSTORAGE__LOG__LEVEL": "info"}
    server = serve("--data-dir", "data", environment=settings)
    key = (tmp_path / "data" / "admin.key").read_text().strip()
    with closing(sqlite3.connect(tmp_path / "data/metadata.sqlite3")) as database:
        database.execute("ALTER TABLE objects RENAME TO gone")
    ids = {"X_Request_Id": "request-3", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert call(server, key, "GET", "/v1/objects?tenant_id=acme", **ids) in {500, 503}
    server.stop()
    lines = of_lines("\n".join(server.lines))
    of_request = [each for each in lines if each["fields"].get("request_id") == "request-3"]
    targets = {each["target"] for each in of_request}
    assert {"juststorage.access", "juststorage.api"} <= targets
    assert {each["fields"]["trace_id"] for each in of_request} == {TRACE}
    assert {each["fields"]["tenant_id"] for each in of_request} == {"acme"}
    [failure] = [each for each in of_request if each["target"] == "juststorage.api"]
    assert "OperationalError: no such table: objects" in failure["message"]


def test_lines_of_a_collector(
    tmp_path: Path, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    """A process without requests logs as a server does."""
    variables = {"PATH": os.environ["PATH"], "JUSTSTORAGE__LOG__LEVEL": "debug"}
    subprocess.run(command("", "migrate", "up"), cwd=tmp_path, env=variables, check=True)
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            command("", "gc", "worker"), cwd=tmp_path, env=variables, stderr=log
        )
    try:
        said = (tmp_path / "log").read_text
        eventually(lambda: "collecting; end with" in said(), "it says that it runs")
    finally:
        worker.terminate()
        assert worker.wait(60) == 0
    lines = of_lines(said())
    assert {"timestamp", "level"} < lines[0].keys()
    assert {each["target"] for each in lines} >= {"juststorage.gc", "asyncio"}


def test_json_wins_over_the_format(
    serve: Any, tmp_path: Path, eventually: Callable[[Callable[[], bool], str], None]
) -> None:
    """Of both commands that run on, from the first line: what reads them asks for it."""
    text = {"JUSTSTORAGE__LOG__FORMAT": "text"}
    server = serve("--data-dir", "data", "--json", environment=text)
    assert server.stop() == 0
    of_lines("\n".join(server.lines))
    variables = {"PATH": os.environ["PATH"], "JUSTSTORAGE__DATA_DIR": "data", **text}
    with (tmp_path / "log").open("w") as log:
        worker = subprocess.Popen(
            command("", "gc", "worker", "--json"), cwd=tmp_path, env=variables, stderr=log
        )
    try:
        said = (tmp_path / "log").read_text
        eventually(lambda: "collecting; end with" in said(), "it says that it runs")
    finally:
        worker.terminate()
        assert worker.wait(60) == 0
    of_lines(said())


BOTH = pytest.mark.parametrize(
    ("words", "target"),
    [(["serve"], "juststorage.serve"), (["gc", "worker"], "juststorage.gc")],
    ids=["serve", "gc worker"],
)
"""The commands that run on; and who says in their log why they do not."""

WRONG = {"JUSTSTORAGE__GC__GRACE_S": "soon", "JUSTSTORAGE__LOG__LEVEL": "loud"}


def refused(words: list[str], tmp_path: Path, **variables: str) -> tuple[str, str]:
    """A command that cannot start: both of its outputs."""
    done = subprocess.run(
        command("", *words),
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    return done.stdout, done.stderr


@BOTH
@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_a_refusal_is_a_line_as_well(
    tmp_path: Path, words: list[str], target: str, log_format: str
) -> None:
    """What reads the log of a service reads why there is none: a line for each mistake."""
    _, said = refused(words, tmp_path, JUSTSTORAGE__LOG__FORMAT=log_format, **WRONG)
    grace, level = of_lines(said)
    assert grace["message"].startswith("gc.grace_s: ")
    assert level["message"].startswith("log.level: ")
    for line in (grace, level):
        assert (line["level"], line["target"]) == ("ERROR", target)
        assert line["fields"] == {"code": "misconfigured"}


@BOTH
def test_a_refusal_to_open_is_a_line(tmp_path: Path, words: list[str], target: str) -> None:
    """Also where the settings are right, and the place is not."""
    _, said = refused([*words, "--data-dir", "/proc/juststorage"], tmp_path)
    [line] = of_lines(said)
    assert (line["target"], line["fields"]) == (target, {"code": "misconfigured"})
    assert "/proc/juststorage" in line["message"]


@BOTH
@pytest.mark.parametrize(
    ("more", "variables"),
    [
        (["--json"], {"JUSTSTORAGE__LOG__FORMAT": "text"}),
        ([], {"JUSTSTORAGE__LOG__FORMAT": "json"}),
        ([], {}),
    ],
    ids=["--json", "the variable", "neither"],
)
def test_a_configuration_that_cannot_be_read_is_a_line(
    tmp_path: Path, words: list[str], target: str, more: list[str], variables: dict[str, str]
) -> None:
    """What else says of the form decides, and the last one says: lines, away from a terminal."""
    (tmp_path / "bad.toml").write_text('[log]\nformat = "text"\n[metadata\n')
    shown, said = refused([*words, "--config", "bad.toml", *more], tmp_path, **variables)
    [line] = of_lines(said)
    assert (line["level"], line["target"]) == ("ERROR", target)
    assert "bad.toml" in line["message"]
    assert bool(shown) == bool(more)
    if more:
        assert json.loads(shown)["error"]["code"] == "misconfigured"


@BOTH
def test_a_refusal_to_people_is_a_sentence(tmp_path: Path, words: list[str], target: str) -> None:
    """Where the log would be text: on a terminal, and where that is configured."""
    del target
    (tmp_path / "text.toml").write_text('[log]\nformat = "text"\nlevel = "loud"\n')
    _, said = refused([*words, "--config", "text.toml"], tmp_path)
    assert said.startswith("juststorage: log.level: ")
    watched = on_terminal(words, cwd=tmp_path, env={"PATH": os.environ["PATH"], **WRONG})
    assert watched.returncode == 2
    assert watched.shown.startswith("juststorage: gc.grace_s: ")


@pytest.mark.parametrize(
    "words",
    [
        ["gc", "status"],
        ["keys", "list"],
        ["config", "check", "--open"],
        ["doctor"],
        ["fsck"],
    ],
    ids=" ".join,
)
def test_lines_of_a_command(words: list[str], tmp_path: Path) -> None:
    """What libraries log while an operator's command runs has the same form."""
    variables = {"PATH": os.environ["PATH"], "JUSTSTORAGE__LOG__LEVEL": "debug"}
    subprocess.run(command("", "migrate", "up"), cwd=tmp_path, env=variables, check=True)
    done = subprocess.run(
        command("", *words),
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "asyncio" in {each["target"] for each in of_lines(done.stderr)}
