"""POST and PUT, described."""

from __future__ import annotations

from typing import Final

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from juststorage_api._openapi import parameters as p
from juststorage_api._openapi.examples import OBJECT
from juststorage_api._openapi.headers import UPLOADED
from juststorage_api._openapi.problems import COMMON, problem_responses

__all__ = ["POST_OBJECT", "PUT_BY_KEY"]

_REFUSALS: Final = (
    *COMMON,
    "invalid_request",
    "invalid_name",
    "invalid_metadata",
    "digest_mismatch",
    "tenant_forbidden",
    "scope_missing",
    "upload_too_slow",
    "upload_expired",
    "precondition_failed",
    "idempotency_in_flight",
    "idempotency_mismatch",
    "body_too_large",
    "unsupported_media_type",
    "read_only",
    "storage_full",
)
_BODY: Final = RequestBody(
    description="The content, as it is. Streamed: its size is limited by the service's setting,"
    " 1 TiB by default.",
    content={
        "application/octet-stream": OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.STRING, format="binary"),  # type: ignore[arg-type]
            example="hello",
        )
    },
    required=False,
)
_HEADERS: Final = [
    p.CONTENT_TYPE,
    p.OBJECT_METADATA,
    p.X_CONTENT_HASH,
    p.REPR_DIGEST_FIELD,
    p.CONTENT_DIGEST,
    p.IF_NONE_MATCH,
    p.IDEMPOTENCY_KEY,
]


def _stored(description: str) -> OpenAPIResponse:
    return OpenAPIResponse(
        description=description,
        headers=UPLOADED,
        content={
            "application/json": OpenAPIMediaType(
                schema=Reference(ref="#/components/schemas/ObjectDto"), example=OBJECT
            )
        },
    )


POST_OBJECT: Final = Operation(
    operation_id="createObject",
    tags=["Objects"],
    summary="Store a new object",
    description="Stores the body under a new id, and under `key` where one is given. It claims the"
    " key at once: while it is uploading, a second POST on it is refused with the holder's id.\n\n"
    "201 means that the bytes are durable.",
    parameters=[
        p.NAMESPACE_IN_QUERY,
        p.TENANT_IN_QUERY,
        p.KEY_IN_QUERY,
        p.STORAGE_CLASS,
        *_HEADERS,
        p.EXPECT,
        p.REQUEST_ID_FIELD,
    ],
    request_body=_BODY,
    responses={
        "201": _stored("Stored"),
        **problem_responses(*_REFUSALS, "key_conflict", instance="/v1/objects"),
    },
)

PUT_BY_KEY: Final = Operation(
    operation_id="putObjectByKey",
    tags=["Objects by key"],
    summary="Create or replace an object",
    description="Readers see the old object or the new one, never neither. A replacement is a new"
    " object with a new id and inherits nothing; of two that run at once both succeed, and the last"
    " to commit stays. `If-Match` and `If-None-Match` are judged in the committing transaction.",
    parameters=[
        p.NAMESPACE_IN_PATH,
        p.TENANT_IN_PATH,
        p.KEY_IN_PATH,
        p.STORAGE_CLASS,
        *_HEADERS,
        p.IF_MATCH,
        p.EXPECT,
        p.REQUEST_ID_FIELD,
    ],
    request_body=_BODY,
    responses={
        "200": _stored("Replaced"),
        "201": _stored("Created"),
        **problem_responses(*_REFUSALS, instance="/v1/objects/by-key/models/acme/bert/weights.bin"),
    },
)
