"""The collector over HTTP."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest

JSON = {"Content-Type": "application/json"}
FIELDS = [
    "dry_run",
    "started_at",
    "finished_at",
    "reaped",
    "claimed",
    "removed",
    "bytes_removed",
    "restored",
    "purged",
    "swept",
    "errors",
    "more",
]


def make_garbage(api: Any) -> bytes:
    """Bytes that were stored, and that nobody refers to now."""
    data = uuid4().hex.encode()
    created = api.call("POST", "/v1/objects?namespace=gc&tenant_id=t1", body=data)
    assert created.status == 201
    gone = api.call("DELETE", f"/v1/objects/{created.json['id']}?tenant_id=t1")
    assert gone.status == 204
    return data


def collect(api: Any, **asked: Any) -> Any:
    """Ask for a run."""
    return api.call("POST", "/v1/admin/gc", headers=JSON, body=json.dumps(asked).encode())


@pytest.mark.parametrize(
    "body",
    [
        b'{"dry-run": true}',
        b'{"dry_run": "true"}',
        b'{"dry_run": null}',
        b'{"grace_seconds": -1}',
        b'{"grace_seconds": "0"}',
        b'{"grace_seconds": 1e300}',
        b"[]",
        b"{",
    ],
)
def test_a_body_that_is_not_understood(api: Any, body: bytes) -> None:
    """A typo is heard, and nothing is collected for it."""
    answer = api.call("POST", "/v1/admin/gc", headers=JSON, body=body)
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_what_else_is_refused(api: Any) -> None:
    """A parameter, another media type, another method."""
    assert api.call("POST", "/v1/admin/gc?dry_run=true").status == 400
    assert api.call("GET", "/v1/admin/gc?verbose=1").status == 400
    text = {"Content-Type": "text/plain"}
    answer = api.call("POST", "/v1/admin/gc", headers=text, body=b"{}")
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert api.call("DELETE", "/v1/admin/gc").status == 405


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_only_for_administrators(api: Any, method: str) -> None:
    """Without a credential 401; with every other scope 403."""
    assert api.call(method, "/v1/admin/gc", key=None).status == 401
    for key in ("one", "manager"):
        answer = api.call(method, "/v1/admin/gc", key=key)
        assert (answer.status, answer.code) == (403, "scope_missing")


def test_a_run_says_what_it_did(api: Any) -> None:
    """The grace of the configuration holds, unless another is asked for; 0 is safe."""
    data = make_garbage(api)
    kept = collect(api)
    assert kept.status == 200
    assert list(kept.json) == FIELDS
    assert (kept.json["dry_run"], kept.json["removed"]) == (False, 0)
    report = collect(api, grace_seconds=0).json
    assert report["removed"] >= 1 and report["bytes_removed"] >= len(data)
    assert report["claimed"] == report["removed"]
    assert (report["errors"], report["more"]) == (0, False)
    started, finished = (datetime.fromisoformat(report[at]) for at in ("started_at", "finished_at"))
    assert started <= finished
    assert report["started_at"].endswith("Z")


def test_a_dry_run_changes_nothing(api: Any) -> None:
    """It counts what a run would remove, as often as it is asked."""
    make_garbage(api)
    for _ in range(2):
        report = collect(api, dry_run=True, grace_seconds=0).json
        assert report["dry_run"] is True
        assert report["removed"] >= 1
    assert collect(api, dry_run=True).json["removed"] == 0


def test_without_a_body_it_is_an_ordinary_run(api: Any) -> None:
    """All of its fields have defaults."""
    assert api.call("POST", "/v1/admin/gc").json["dry_run"] is False


def test_runs_that_are_asked_for_together(api: Any) -> None:
    """They come one after the other, and all of them answer."""
    make_garbage(api)
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: collect(api, grace_seconds=0), range(6)))
    assert [answer.status for answer in answers] == [200] * 6
    assert sum(answer.json["errors"] for answer in answers) == 0


def test_the_collector_is_described(api: Any) -> None:
    """Its settings, what is due, and what would be due without grace."""
    collect(api, grace_seconds=0)
    data = make_garbage(api)
    answer = api.call("GET", "/v1/admin/gc")
    assert answer.status == 200
    assert answer.json | {"without_references": None} == {
        "enabled": True,
        "policy": "age",
        "interval_s": 60.0,
        "grace_s": 3600.0,
        "trash_retention_s": 86400.0,
        "due": {"blobs": 0, "bytes": 0},
        "without_references": None,
        "more": False,
    }
    assert answer.json["without_references"]["blobs"] >= 1
    assert answer.json["without_references"]["bytes"] >= len(data)
