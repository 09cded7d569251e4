"""An empty database beside full volumes, with the real commands: nothing goes, and all say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from juststorage_postgres.testing import *  # noqa: F403

MANY = 130
QUICK = {
    "JUSTSTORAGE__GC__INTERVAL_S": "0.1",
    "JUSTSTORAGE__GC__GRACE_S": "0",
    "JUSTSTORAGE__GC__TRASH_RETENTION_S": "0",
}
"""A collector with nothing to wait for."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every stored content by its path, whatever a purge has left in the trash included."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.glob("[0-9a-f][0-9a-f]/**/*"))
        if path.is_file()
    }


@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_nothing_of_a_full_volume_goes(
    *,
    request: pytest.FixtureRequest,
    serve: Any,
    operate: Any,
    eventually: Any,
    tmp_path: Path,
    database: str,
) -> None:
    """Checks pass, doctor and readiness warn, collectors count, and every file stays."""
    server = serve("--data-dir", "data", environment={})
    (tmp_path / "tree").mkdir()
    for number in range(MANY):
        (tmp_path / "tree" / f"{number}").write_bytes(b"content %d" % number)
    client = {"JUSTSTORAGE_URL": server.url, "JUSTSTORAGE_KEY_FILE": "data/admin.key"}
    done = operate("import", "tree", "docs/acme", **client)
    assert (done.returncode, done.stdout) == (0, f"{MANY} stored\n"), done.stderr
    assert server.stop() == 0
    before = contents(tmp_path / "data" / "hot")
    assert len(before) == MANY

    environment = {
        **QUICK,
        "JUSTSTORAGE__METADATA__BACKEND": database,
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
    }
    for path in (tmp_path / "data").glob("metadata.sqlite3*"):
        path.unlink()
    if database == "postgres":
        url = request.getfixturevalue("postgres_url")
        environment["JUSTSTORAGE__METADATA__POSTGRES__URL"] = url
    words = ["--data-dir", "data"]
    assert operate("migrate", "up", *words, **environment).returncode == 0
    done = operate("config", "check", "--open", *words, **environment)
    assert done.returncode == 0, done.stderr

    # On a machine that is busy with other tests a part may not answer it in time at first.
    for _ in range(3):
        done = operate("doctor", *words, "--json", **environment)
        if done.returncode == 0:
            break
    assert done.returncode == 0, done.stdout
    known = {each["check"]: each for each in json.loads(done.stdout)}["blobs.hot/known"]
    assert known["state"] == "warning"
    assert f"does not know {MANY}" in known["found"]
    assert "juststorage gc run --adopt-unknown" in known["to_do"]

    server = serve(*words, environment=environment)
    said = 'juststorage_gc_runs_total{outcome="done"} '

    def metrics() -> str:
        return str(server.call("GET", "/metrics", key=None)[1].decode())

    def runs() -> float:
        return float(metrics().partition(said)[2].partition("\n")[0])

    eventually(lambda: runs() >= 5, "five collections")
    assert "juststorage_gc_adopted_blobs_total 0\n" in metrics()
    assert "juststorage_gc_unknown_blobs_total 0\n" not in metrics()
    status, body = server.call("GET", "/health/ready", key=None)
    assert (status, json.loads(body)["status"]) == (200, "degraded")
    assert server.stop() == 0
    assert contents(tmp_path / "data" / "hot") == before

    done = operate("gc", "run", *words, **environment)
    assert done.returncode == 1
    assert f"left alone: {MANY} blobs" in done.stdout
    assert "too_many_unknown_blobs" in done.stderr
    assert contents(tmp_path / "data" / "hot") == before

    done = operate("gc", "run", "--adopt-unknown", *words, **environment)
    assert (done.returncode, f"adopted: {MANY}\n" in done.stdout) == (0, True), done.stdout
    assert operate("gc", "run", *words, **environment).returncode == 0
    assert contents(tmp_path / "data" / "hot") == {}
