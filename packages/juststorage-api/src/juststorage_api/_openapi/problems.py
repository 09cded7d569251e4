"""Problem documents: their schema, and the answers that name them."""

from __future__ import annotations

from collections import defaultdict
from typing import Any, Final

from litestar.openapi.spec import (
    Example,
    OpenAPIHeader,
    OpenAPIMediaType,
    OpenAPIResponse,
    Reference,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from juststorage_api._http.problem import PROBLEM_JSON, PROBLEMS
from juststorage_api._openapi.examples import CONTENT_HASH, OBJECT_ID
from juststorage_api._openapi.headers import RATE_LIMITED, REQUEST_ID

__all__ = ["COMMON", "PROBLEM_SCHEMA", "problem_responses"]

COMMON: Final = ("unauthenticated", "rate_limited", "internal", "unavailable", "headers_too_large")
"""What any call under /v1 may answer."""

_DETAILS: Final = {
    "invalid_request": "the query parameter tenant_id is repeated",
    "invalid_name": "key must be 1 to 1024 bytes of UTF-8, not 0",
    "invalid_metadata": "metadata is not valid JSON",
    "invalid_cursor": "the cursor is not valid for this query",
    "digest_mismatch": "the body does not have the announced digest",
    "unauthenticated": "this call needs a credential",
    "tenant_forbidden": "this credential does not hold that tenant",
    "scope_missing": "this call needs the scope objects:write",
    "not_found": "there is no such object",
    "method_not_allowed": "this path answers to GET, HEAD",
    "upload_too_slow": "no byte arrived for 30 s",
    "key_conflict": "another object holds the key",
    "upload_expired": "the upload lost its lease",
    "upload_in_use": "another request is bringing bytes to this upload",
    "offset_mismatch": "the upload goes on at byte 3",
    "invalid_state": "an API key cannot revoke or weaken itself",
    "idempotency_in_flight": "a request with this Idempotency-Key is still under way",
    "idempotency_mismatch": "this Idempotency-Key was used for another request",
    "precondition_failed": "the object is not the one that the precondition names",
    "body_too_large": "the body is over 1099511627776 bytes",
    "unsupported_media_type": "Content-Encoding is not supported: send the bytes as they are",
    "range_not_satisfiable": "the content ends before the range begins",
    "rate_limited": "the requests of this credential are used up until the window ends",
    "headers_too_large": "target and header fields are over 65536 bytes",
    "internal": "the service failed; its log has the cause under this request id",
    "blob_missing": "the object's bytes are missing",
    "unsupported_operation": "blobs.cold: this blob store cannot resume uploads",
    "unavailable": "the metadata store does not answer",
    "read_only": "the service is in read-only mode: objects do not change",
    "storage_full": "there is not enough free space for this body",
}
_FIELDS: Final[dict[str, dict[str, Any]]] = {
    "key_conflict": {"object_id": OBJECT_ID, "content_hash": CONTENT_HASH},
    "upload_in_use": {"retry_after_s": 1},
    "offset_mismatch": {"offset": 3},
    "scope_missing": {"scope": "objects:write"},
    "read_only": {"retry_after_s": 30},
    "rate_limited": {"retry_after_s": 17, "limit": 1000, "window_s": 60},
}

_WAITING: Final = frozenset({"idempotency_in_flight", "upload_in_use"})
"""Codes of a 409 that say when to come again."""

PROBLEM_SCHEMA: Final = Schema(
    title="Problem",
    description="An error, as RFC 9457 has it. `code` is what programs decide by.",
    type=OpenAPIType.OBJECT,
    required=["type", "title", "status", "detail", "instance", "code", "request_id"],
    properties={
        "type": Schema(
            type=OpenAPIType.STRING,
            description="`urn:juststorage:problem:<code>`",
            examples=["urn:juststorage:problem:not_found"],
        ),
        "title": Schema(type=OpenAPIType.STRING, description="The same for every case of a code"),
        "status": Schema(type=OpenAPIType.INTEGER, description="The HTTP status, again"),
        "detail": Schema(type=OpenAPIType.STRING, description="What was wrong in this case"),
        "instance": Schema(type=OpenAPIType.STRING, description="The request's path"),
        "code": Schema(type=OpenAPIType.STRING, enum=list(PROBLEMS)),
        "request_id": Schema(
            type=OpenAPIType.STRING, description="As in `X-Request-Id`, and in every log line"
        ),
    },
    additional_properties=True,
)


def problem_responses(*codes: str, instance: str) -> dict[str, OpenAPIResponse | Reference]:
    """The answers that carry these problems, by status, each code with an example."""
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code in codes:
        by_status[PROBLEMS[code].status].append(code)
    return {
        str(status): _response(status, by_status[status], instance) for status in sorted(by_status)
    }


def _response(status: int, codes: list[str], instance: str) -> OpenAPIResponse:
    headers: dict[str, OpenAPIHeader | Reference] = {"X-Request-Id": REQUEST_ID}
    if status == 401:
        headers["WWW-Authenticate"] = OpenAPIHeader(
            description="The schemes that this service takes, as it is configured: `ApiKey` for its"
            " own keys (`X-API-Key` is the same), `Bearer` for tokens",
            schema=Schema(type=OpenAPIType.STRING),
            example='ApiKey realm="juststorage", Bearer realm="juststorage"',
        )
    elif status == 429:
        headers |= RATE_LIMITED
    elif status == 503 or not _WAITING.isdisjoint(codes):
        headers["Retry-After"] = OpenAPIHeader(
            description="Seconds to wait", schema=Schema(type=OpenAPIType.INTEGER), example=1
        )
    elif status == 416:
        headers["Content-Range"] = OpenAPIHeader(
            description="The size of the content",
            schema=Schema(type=OpenAPIType.STRING),
            example="bytes */5",
        )
    elif status == 405:
        headers["Allow"] = OpenAPIHeader(
            description="The methods that the path answers to",
            schema=Schema(type=OpenAPIType.STRING),
            example="GET, HEAD",
        )
    return OpenAPIResponse(
        description="; ".join(f"`{code}`: {PROBLEMS[code].title}" for code in codes),
        headers=headers,
        content={
            PROBLEM_JSON.decode(): OpenAPIMediaType(
                schema=Reference(ref="#/components/schemas/Problem"),
                examples={
                    code: Example(summary=PROBLEMS[code].title, value=_document(code, instance))
                    for code in codes
                },
            )
        },
    )


def _document(code: str, instance: str) -> dict[str, Any]:
    return {
        "type": f"urn:juststorage:problem:{code}",
        "title": PROBLEMS[code].title,
        "status": PROBLEMS[code].status,
        "detail": _DETAILS[code],
        "instance": instance,
        "code": code,
        "request_id": "9f1c2ab04d3e5f67-0000002a",
        **_FIELDS.get(code, {}),
    }
