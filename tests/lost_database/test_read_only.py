"""The kill switch: told to one instance, it holds for everybody on the same database."""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from juststorage_postgres.testing import LocalServer, run_sql
from tests.lost_database.service import KEY, OBJECTS, ask, until

FOLLOWED_S = 5.0
"""The bound that the documents state."""

SLACK_S = 5.0
"""For processes that share two busy processors with others."""

_MAIN = "from juststorage.cli import main; main()"


def switch(server: Any, on: bool) -> dict[str, bool]:
    """Turn it, by one call to one instance."""
    connection = http.client.HTTPConnection(*server.address, timeout=60)
    fields = {"Authorization": f"ApiKey {KEY}", "Content-Type": "application/json"}
    try:
        connection.request(
            "POST", "/v1/admin/read-only", body=json.dumps({"read_only": on}), headers=fields
        )
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        told: dict[str, bool] = json.loads(answer.read())
        return told
    finally:
        connection.close()


def unreferenced(url: str) -> int:
    """How many rows of blobs are garbage."""

    async def run() -> int:
        connection = await asyncpg.connect(url)
        try:
            count: int = await connection.fetchval("SELECT count(*) FROM blobs WHERE ref_count = 0")
            return count
        finally:
            await connection.close()

    return asyncio.run(run())


def refused(server: Any) -> bool:
    """Whether several uploads in a row, so by whichever worker, are refused with the code."""
    codes = {
        answer.status == 503 and answer.problem["code"]
        for answer in (ask(server, "PUT", f"{OBJECTS}/new", b"new") for _ in range(8))
    }
    return codes == {"read_only"}


def taken(server: Any) -> bool:
    """Whether several uploads in a row are taken."""
    return all(ask(server, "PUT", f"{OBJECTS}/new", b"new").status in {200, 201} for _ in range(8))


def blobs(root: Path) -> int:
    """How many contents are in their places."""
    return sum(1 for each in (root / "hot" / "objects").rglob("*") if each.is_file())


def garbage(server: Any, number: int) -> None:
    """A content that nothing refers to any more."""
    assert ask(server, "PUT", f"{OBJECTS}/gone", b"garbage %d" % number).status == 201
    assert ask(server, "DELETE", f"{OBJECTS}/gone").status == 204


def command(
    environment: dict[str, str], cwd: Path, *words: str
) -> subprocess.CompletedProcess[str]:
    """A command beside the servers."""
    return subprocess.run(
        [sys.executable, "-c", _MAIN, *words],
        env=os.environ | environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def collector(environment: dict[str, str], cwd: Path) -> Iterator[None]:
    """A separate collector that rests for a tenth of a second."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MAIN, "gc", "worker"],
        env=os.environ | environment | {"JUSTSTORAGE__GC__INTERVAL_S": "0.1"},
        cwd=cwd,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        assert b"collecting" in process.stderr.readline()
        yield
    finally:
        process.kill()
        process.communicate()


def test_one_call_reaches_everybody_and_stays(
    serve: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    """Two servers of two workers, a collector, commands, and a server that is started later."""
    environment |= {
        "JUSTSTORAGE__GC__ENABLED": "false",
        "JUSTSTORAGE__GC__GRACE_S": "0",
        "JUSTSTORAGE__GC__TRASH_RETENTION_S": "0",
    }
    start = {"environment": environment}
    url = environment["JUSTSTORAGE__METADATA__POSTGRES__URL"]
    one, two = (serve("--workers", "2", **start) for _ in range(2))
    for each in (one, two):
        each.wait_workers(2)
    with collector(environment, tmp_path):
        garbage(one, 1)
        until(lambda: blobs(tmp_path) == 0, 20, "the collector collects")

        assert switch(one, True) == {"read_only": True, "everywhere": True}
        assert refused(one), "the instance that was told did not obey at once"
        until(lambda: refused(two), FOLLOWED_S + SLACK_S, "the other one refuses")
        ready = json.loads(ask(two, "GET", "/health/ready").body)
        assert (ready["status"], ready["read_only"]) == ("degraded", True)
        found = json.loads(command(environment, tmp_path, "doctor", "--json").stdout)
        assert {"warning"} == {each["state"] for each in found if each["check"] == "read-only mode"}

        # What was deleted just before is not collected: it is put there behind the servers' backs.
        time.sleep(FOLLOWED_S)
        run_sql(
            url,
            "INSERT INTO blobs (content_hash, storage_class, size_bytes, ref_count, zero_since,"
            " first_seen_at) VALUES ('sha256:" + "ab" * 32 + "', 'hot', 1, 0, now(), now())",
        )
        done = command(environment, tmp_path, "gc", "run")
        assert (done.returncode, "read-only mode" in done.stderr) == (1, True), done
        assert command(environment, tmp_path, "gc", "run", "--dry-run").returncode == 0
        time.sleep(1)  # ten of the collector's rests
        assert unreferenced(url) == 1

        assert two.stop() == 0
        two = serve(**start)
        assert refused(two), "a server that starts does not know of it"

        assert switch(two, False)["everywhere"] is True
        assert taken(two)
        until(lambda: taken(one), FOLLOWED_S + SLACK_S, "the other one takes them again")
        until(lambda: unreferenced(url) == 0, 20, "the collector collects again")
    for each in (one, two):
        assert each.stop() == 0


def test_a_database_that_is_away(
    serve: Any, environment: dict[str, str], server: LocalServer
) -> None:
    """What was known last holds meanwhile, and in the very moment in which it is back."""
    one, two = (serve(environment=environment) for _ in range(2))
    switch(one, True)
    until(lambda: refused(two), FOLLOWED_S + SLACK_S, "the other one refuses")
    server.stop()
    time.sleep(FOLLOWED_S)
    for each in (one, two):
        assert b"\njuststorage_read_only 1\n" in ask(each, "GET", "/metrics").body
    server.start()
    for each in (one, two):
        codes: list[str] = []
        # No key can be looked up before; then there is nothing between.
        until(
            lambda each=each, codes=codes: (
                codes.append(ask(each, "PUT", f"{OBJECTS}/new", b"new").problem["code"])
                or codes[-1] == "read_only"
            ),
            30,
            "the database answers again",
        )
        assert set(codes) <= {"unavailable", "read_only"}
    assert switch(two, False)["everywhere"] is True
    until(lambda: taken(one), FOLLOWED_S + SLACK_S, "the other one follows again")
    for each in (one, two):
        assert each.stop() == 0
