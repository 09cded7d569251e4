"""Every error as a problem document (RFC 9457), in this one place.

The status follows from the error's family, so that a plugin may raise subclasses of its own; the
title follows from its code. What a client reads never carries a driver's text, a path or a query:
errors of `juststorage.errors` are written for clients, all others are told as `internal`.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, ClassVar, Final, NamedTuple

import msgspec

from juststorage.errors import (
    BlobMissing,
    Conflict,
    Corrupt,
    Denied,
    IdempotencyMismatch,
    Invalid,
    JustStorageError,
    NotFound,
    PreconditionFailed,
    RateLimited,
    StorageFull,
    TooLarge,
    TooSlow,
    Unauthenticated,
    Unavailable,
    UnsupportedOperation,
)

__all__ = [
    "PROBLEMS",
    "PROBLEM_JSON",
    "Headers",
    "HeadersTooLarge",
    "MethodNotAllowed",
    "OtherVersion",
    "Problem",
    "ProblemType",
    "RangeNotSatisfiable",
    "UnsupportedMediaType",
    "problem_of",
]

Headers = list[tuple[bytes, bytes]]

PROBLEM_JSON: Final = b"application/problem+json"

_RETRY_AFTER_S: Final = 1
"""What a client is told to wait where the error does not say."""


class _HttpError(JustStorageError):
    """A refusal that only HTTP knows."""

    status: ClassVar[int]

    def __init__(self, detail: str, *, headers: Headers | None = None, **fields: Any) -> None:
        super().__init__(detail, **fields)
        self.headers: Headers = headers or []


class MethodNotAllowed(_HttpError):
    """The path is known, the method is not. `Allow` says which are."""

    code = "method_not_allowed"
    status = 405

    def __init__(self, allow: str) -> None:
        super().__init__(f"this path answers to {allow}", headers=[(b"allow", allow.encode())])


class HeadersTooLarge(_HttpError):
    """Target and header fields are over the byte limit."""

    code = "headers_too_large"
    status = 431


class UnsupportedMediaType(_HttpError):
    """The body's coding or type is not one that this call takes."""

    code = "unsupported_media_type"
    status = 415


class OtherVersion(_HttpError):
    """The client speaks another version of a protocol; `Tus-Version` says which is spoken here."""

    code = "precondition_failed"
    status = 412

    def __init__(self, detail: str, version: bytes) -> None:
        super().__init__(detail, headers=[(b"tus-version", version)])


class RangeNotSatisfiable(_HttpError):
    """No byte of the content is in the asked ranges, or there are too many of them."""

    code = "range_not_satisfiable"
    status = 416

    def __init__(self, detail: str, size_bytes: int) -> None:
        super().__init__(
            detail,
            headers=[(b"content-range", b"bytes */%d" % size_bytes), (b"accept-ranges", b"bytes")],
        )


_FAMILIES: Final[tuple[tuple[type[JustStorageError], int], ...]] = (
    # The first that fits: subclasses before their parents.
    (TooLarge, 413),
    (TooSlow, 408),
    (IdempotencyMismatch, 422),
    (Invalid, 400),
    (Unauthenticated, 401),
    (RateLimited, 429),
    (Denied, 403),
    (NotFound, 404),
    (PreconditionFailed, 412),
    (Conflict, 409),
    (Unavailable, 503),
    (StorageFull, 507),
    (BlobMissing, 500),
    (Corrupt, 500),
    (UnsupportedOperation, 501),
)


class ProblemType(NamedTuple):
    """What all problems of one code have in common."""

    status: int
    title: str


PROBLEMS: Final = {
    "invalid_request": ProblemType(400, "The request is not valid"),
    "invalid_name": ProblemType(400, "A name is not valid"),
    "invalid_metadata": ProblemType(400, "The metadata is not valid"),
    "invalid_cursor": ProblemType(400, "The cursor is not valid"),
    "digest_mismatch": ProblemType(400, "The body does not have the announced digest"),
    "unauthenticated": ProblemType(401, "Authentication is required"),
    "tenant_forbidden": ProblemType(403, "The tenant or namespace is not held"),
    "scope_missing": ProblemType(403, "A scope is missing"),
    "not_found": ProblemType(404, "Not found"),
    "method_not_allowed": ProblemType(405, "Method not allowed"),
    "upload_too_slow": ProblemType(408, "The upload is too slow"),
    "key_conflict": ProblemType(409, "The key is held by another object"),
    "upload_expired": ProblemType(409, "The upload has expired"),
    "upload_in_use": ProblemType(409, "The upload is being added to"),
    "offset_mismatch": ProblemType(409, "The upload goes on elsewhere"),
    "invalid_state": ProblemType(409, "The state forbids this"),
    "idempotency_in_flight": ProblemType(409, "The first request is still under way"),
    "precondition_failed": ProblemType(412, "A precondition does not hold"),
    "body_too_large": ProblemType(413, "The body is too large"),
    "unsupported_media_type": ProblemType(415, "The media type or coding is not supported"),
    "range_not_satisfiable": ProblemType(416, "The range cannot be satisfied"),
    "idempotency_mismatch": ProblemType(422, "The idempotency key was used before"),
    "rate_limited": ProblemType(429, "Too many requests"),
    "headers_too_large": ProblemType(431, "The header fields are too large"),
    "internal": ProblemType(500, "Something failed in the service"),
    "blob_missing": ProblemType(500, "The object's bytes are missing"),
    "unsupported_operation": ProblemType(501, "The service cannot do this as it is set up"),
    "unavailable": ProblemType(503, "The service is not available now"),
    "read_only": ProblemType(503, "The service takes no changes now"),
    "storage_full": ProblemType(507, "There is no room"),
}
"""Every code of the contract. Plugins may add codes; their status follows from the family."""

_MEMBERS: Final = frozenset({"type", "title", "status", "detail", "instance", "code", "request_id"})
_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


class Problem(msgspec.Struct, frozen=True):
    """What is answered: a status, the header fields of the case, and a document."""

    status: int
    code: str
    headers: Headers
    body: bytes


def problem_of(error: BaseException, *, instance: str, request_id: str, challenge: str) -> Problem:
    """The answer to a request that ended with `error`.

    Args:
        error: What was raised.
        instance: The request's path, percent-encoded as it came.
        request_id: The request's id.
        challenge: The value of `WWW-Authenticate` where the answer is 401.
    """
    status, code, detail, fields = _told(error)
    document: dict[str, Any] = {
        "type": f"urn:juststorage:problem:{code}",
        "title": PROBLEMS[code].title if code in PROBLEMS else HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": instance,
        "code": code,
        "request_id": request_id,
    }
    document |= {name: value for name, value in fields.items() if name not in _MEMBERS}
    headers: Headers = [(b"content-type", PROBLEM_JSON), (b"cache-control", b"no-store")]
    headers += error.headers if isinstance(error, _HttpError) else []
    if status == 401:
        headers.append((b"www-authenticate", challenge.encode("latin-1")))
    if status in {429, 503} or "retry_after_s" in fields:
        wait_s = fields.get("retry_after_s", _RETRY_AFTER_S)
        headers.append((b"retry-after", b"%d" % max(1, -int(-wait_s // 1))))
    return Problem(status, code, headers, _encode(document))


def _told(error: BaseException) -> tuple[int, str, str, dict[str, Any]]:
    """Status, code, detail and fields, as a client may read them."""
    if isinstance(error, _HttpError):
        return error.status, error.code, error.detail, error.fields
    if isinstance(error, JustStorageError):
        for family, status in _FAMILIES:
            if isinstance(error, family):
                return status, error.code, error.detail, error.fields
    return 500, "internal", "the service failed; its log has the cause under this request id", {}
