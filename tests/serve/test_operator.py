"""The operator's command line beside a running service, on the embedded default."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

DOCTOR_S = 3.0
"""What `doctor` may take; on a machine that does nothing else it takes a fraction."""


def test_the_doctor_beside_a_service(serve: Any, operate: Any) -> None:
    """All parts are well, and the service goes on."""
    server = serve("--data-dir", "data", environment={})
    done = operate("doctor", "--data-dir", "data", "--json")
    assert done.returncode == 0, done.stdout
    states = {each["check"]: each["state"] for each in json.loads(done.stdout)}
    assert {"configuration", "metadata", "auth.api_key", "blobs.hot", "blobs.cold"} <= set(states)
    assert "failed" not in states.values()
    assert server.call("GET", "/health", key=None)[0] == 200


def test_the_doctor_is_quick(serve: Any, operate: Any) -> None:
    """It takes 3 s at most; a machine that is busy with other tests may need a second try."""
    serve("--data-dir", "data", environment={}).stop()

    def took() -> float:
        began = time.monotonic()
        assert operate("doctor", "--data-dir", "data").returncode == 0
        return time.monotonic() - began

    assert any(took() < DOCTOR_S for _ in range(3))


def test_the_doctor_where_nothing_is(operate: Any, tmp_path: Path) -> None:
    """Where there is no store it says how to make one, and makes nothing."""
    done = operate("doctor", "--data-dir", "data")
    assert done.returncode == 1
    assert "juststorage serve --data-dir" in done.stdout
    assert not list(tmp_path.iterdir())


def test_the_doctor_and_a_volume_that_is_gone(serve: Any, operate: Any, tmp_path: Path) -> None:
    """A root that is not there is told by its name, with what to do; the database is well."""
    serve("--data-dir", "data", environment={}).stop()
    named = {
        "JUSTSTORAGE__METADATA__BACKEND": "sqlite",
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT": str(tmp_path / "gone"),
    }
    done = operate("doctor", "--data-dir", "data", "--json", **named)
    found = {each["check"]: each for each in json.loads(done.stdout)}
    assert done.returncode == 1
    assert found["metadata"]["state"] == "ok"
    assert "mount its volume" in found["blobs.hot"]["found"]
    assert not (tmp_path / "gone").exists()


def test_a_tree_goes_in_and_comes_out(serve: Any, operate: Any, tmp_path: Path) -> None:
    """Files of a tree survive the way through cold storage and the end of the service."""
    server = serve("--data-dir", "data", environment={})
    files = {f"{number % 4}/{number}": bytes([number]) * 40_000 for number in range(30)}
    for name, content in files.items():
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(content)
    environment = {"JUSTSTORAGE_URL": server.url, "JUSTSTORAGE_KEY_FILE": "data/admin.key"}
    done = operate("import", "tree", "docs/acme", "--storage-class", "cold", **environment)
    assert (done.returncode, done.stdout) == (0, "30 stored\n"), done.stderr
    assert server.stop() == 0
    environment["JUSTSTORAGE_URL"] = serve("--data-dir", "data", environment={}).url
    assert operate("export", "docs/acme", "out", **environment).stdout == "30 written\n"
    came = {
        str(path.relative_to(tmp_path / "out")): path.read_bytes()
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert came == files
    assert "30" in operate("usage", "--tenant", "acme", **environment).stdout
