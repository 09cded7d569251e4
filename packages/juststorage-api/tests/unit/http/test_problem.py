"""Problem documents."""

from __future__ import annotations

import json
from typing import Any

import pytest

from juststorage import errors
from juststorage.errors import JustStorageError, PluginError, RateLimited, Unavailable
from juststorage_api._http.problem import (
    PROBLEMS,
    MethodNotAllowed,
    Problem,
    RangeNotSatisfiable,
    UnsupportedMediaType,
    problem_of,
)


def problem(error: BaseException) -> Problem:
    """The problem of a request."""
    return problem_of(error, instance="/v1/x%20y", request_id="an-id-of-ours", challenge="ApiKey")


def every_class(root: type[JustStorageError] = JustStorageError) -> list[type[JustStorageError]]:
    """The error tree, as `juststorage.errors` has it."""
    children = [each for each in root.__subclasses__() if each.__module__ == errors.__name__]
    return [root, *(found for child in children for found in every_class(child))]


@pytest.mark.parametrize("kind", every_class())
def test_every_error_has_a_documented_answer(kind: type[JustStorageError]) -> None:
    """Its code is in the contract and its family's status agrees; what is ours alone is 500."""
    extra: dict[str, Any] = {"plugin": "metadata"} if issubclass(kind, PluginError) else {}
    told = problem(kind("a sentence", **extra))
    if kind.code in PROBLEMS:
        assert told.status == PROBLEMS[kind.code].status
        assert told.code == kind.code
    else:
        assert told.status == 403 if issubclass(kind, errors.Denied) else told.status == 500


@pytest.mark.parametrize(
    "error", [MethodNotAllowed("GET"), UnsupportedMediaType("x"), RangeNotSatisfiable("x", 1)]
)
def test_errors_of_http_are_documented(error: JustStorageError) -> None:
    """The same for those that only HTTP knows."""
    assert problem(error).status == PROBLEMS[error.code].status


def test_the_document() -> None:
    """All members of the contract, then the fields of the case."""
    told = problem(errors.KeyConflict("it is held", object_id="x", content_hash=None))
    assert json.loads(told.body) == {
        "type": "urn:juststorage:problem:key_conflict",
        "title": "The key is held by another object",
        "status": 409,
        "detail": "it is held",
        "instance": "/v1/x%20y",
        "code": "key_conflict",
        "request_id": "an-id-of-ours",
        "object_id": "x",
        "content_hash": None,
    }
    assert (b"content-type", b"application/problem+json") in told.headers


def test_fields_cannot_replace_members() -> None:
    """A plugin that names a field `status` changes nothing."""
    told = problem(errors.NotFound("gone", status=200, title="fine", more=1))
    assert json.loads(told.body)["status"] == 404
    assert json.loads(told.body)["title"] == "Not found"
    assert json.loads(told.body)["more"] == 1


@pytest.mark.parametrize(
    "error",
    [
        ValueError("/secret/path"),
        KeyError("SELECT secret"),
        PluginError("metadata: /secret/path", plugin="metadata"),
        errors.Misconfigured("secret is wrong"),
    ],
)
def test_what_is_not_for_clients_is_not_told(error: Exception) -> None:
    """They get a request id and no more."""
    told = problem(error)
    assert (told.status, told.code) == (500, "internal")
    assert b"secret" not in told.body


def test_a_plugin_may_add_codes() -> None:
    """The status follows from the family, the title from the status."""

    class Throttled(Unavailable):
        code = "acme_throttled"

    told = problem(Throttled("too fast"))
    assert (told.status, told.code) == (503, "acme_throttled")
    assert json.loads(told.body)["title"] == "Service Unavailable"


@pytest.mark.parametrize(
    ("error", "seconds"),
    [
        (Unavailable("x"), b"1"),
        (Unavailable("x", retry_after_s=2.1), b"3"),
        (RateLimited("x", retry_after_s=0), b"1"),
        (RateLimited("x", retry_after_s=7), b"7"),
    ],
)
def test_retry_after(error: JustStorageError, seconds: bytes) -> None:
    """Whole seconds, rounded up, never 0."""
    assert (b"retry-after", seconds) in problem(error).headers


def test_only_a_401_challenges() -> None:
    """With what the service takes."""
    assert (b"www-authenticate", b"ApiKey") in problem(errors.Unauthenticated("x")).headers
    assert not any(name == b"www-authenticate" for name, _ in problem(ValueError()).headers)
