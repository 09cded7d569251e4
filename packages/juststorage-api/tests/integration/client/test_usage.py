"""`juststorage usage` against a real server."""

from __future__ import annotations

import json
from typing import Any


def test_a_tenant_must_be_named_where_there_are_several(run: Any) -> None:
    """The sentence says how, and the exit code is 1."""
    result = run("usage")
    assert result.exit_code == 1
    assert result.stderr.endswith("; name it: --tenant ID\n")


def test_the_server_is_away(run: Any) -> None:
    """Exit code 4, as for every command that needs one."""
    assert run("usage", JUSTSTORAGE_URL="http://127.0.0.1:1").exit_code == 4


def test_counts(run: Any, server: Any) -> None:
    """Equal contents count once among physical bytes; a namespace may be asked for alone."""
    for name in ("docs/counted/a", "docs/counted/b", "other/counted/c"):
        server.call("PUT", f"/v1/objects/by-key/{name}", b"x" * 1536)
    lines = run("usage", "--tenant", "counted").stdout.splitlines()
    assert lines[0].split() == ["NAMESPACE", "CLASS", "OBJECTS", "LOGICAL", "PHYSICAL"]
    assert lines[1].split() == ["docs", "hot", "2", "3.0", "KiB", "1.5", "KiB"]
    assert lines[-1].split() == ["in", "all", "3", "4.5", "KiB", "1.5", "KiB"]
    told = json.loads(run("usage", "--tenant", "counted", "--namespace", "docs", "--json").stdout)
    assert (told["objects"], told["physical_bytes"]) == (2, 1536)
    quick = run("usage", "--tenant", "counted", "--no-physical")
    assert quick.stdout.splitlines()[-1].split()[-1] == "-"
