"""What a client makes of refusals."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx2
import pytest

from juststorage.errors import (
    BlobMissing,
    Conflict,
    Denied,
    IdempotencyInFlight,
    JustStorageError,
    KeyConflict,
    ReadOnly,
    ScopeMissing,
    Unavailable,
)
from juststorage_api._client._problems import NotOffered, problem_in


def refusal(status: int, body: bytes = b"", **headers: str) -> JustStorageError:
    """An answer as an error."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return problem_in(httpx2.Response(status, headers=named), body)


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (403, "scope_missing", ScopeMissing),
        (409, "idempotency_in_flight", IdempotencyInFlight),
        (409, "key_conflict", KeyConflict),
        (503, "read_only", ReadOnly),
        # A code that is not known, or belongs elsewhere, leaves what the status says.
        (403, "unheard_of", Denied),
        (403, "unavailable", Denied),
        (409, 7, Conflict),
        (405, "method_not_allowed", NotOffered),
        (503, None, Unavailable),
        (500, "internal", JustStorageError),
        (500, "misconfigured", JustStorageError),
        (500, "not_found", JustStorageError),
        (500, "blob_missing", BlobMissing),
    ],
)
def test_the_code_of_the_server_is_kept(
    status: int, code: object, expected: type[JustStorageError]
) -> None:
    """Within what the status means."""
    error = refusal(status, json.dumps({"code": code, "detail": "why"}).encode())
    assert (type(error), error.detail) == (expected, "why")


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"\xff"])
def test_what_is_no_document(body: bytes) -> None:
    """The status is all there is."""
    error = refusal(503, body)
    assert (type(error), error.detail) == (Unavailable, "the server answered 503")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("17", 17.0), ("0", 0.0), ("", None), ("soon", None), ("-1", None), ("1_0", None)],
)
def test_retry_after_in_seconds(text: str, expected: float | None) -> None:
    """As it says, and nothing where it says nothing."""
    assert refusal(429, retry_after=text).fields["retry_after_s"] == expected


def test_retry_after_as_a_date() -> None:
    """Until then; a date that is over means now."""
    now = datetime.now(UTC)
    wait_s = refusal(503, retry_after=format_datetime(now + timedelta(hours=1), usegmt=True))
    assert 3000 < wait_s.fields["retry_after_s"] <= 3600
    over = refusal(503, retry_after=format_datetime(now - timedelta(hours=1), usegmt=True))
    assert over.fields["retry_after_s"] == 0.0
