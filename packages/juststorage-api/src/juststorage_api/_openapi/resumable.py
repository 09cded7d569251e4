"""Resumable uploads, described."""

from __future__ import annotations

from typing import Final

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    Reference,
    RequestBody,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from juststorage_api._openapi import parameters as p
from juststorage_api._openapi.examples import OBJECT, TICKET
from juststorage_api._openapi.headers import PROGRESS, SPOKEN, STORED_UPLOAD, UPLOAD_BEGUN
from juststorage_api._openapi.problems import COMMON, problem_responses

__all__ = ["UPLOADS_ITEM", "UPLOAD_ITEM"]

_TAG: Final = "Resumable uploads"
_PATH: Final = f"/v1/uploads/{TICKET}"
_OF_ONE: Final[list[Parameter | Reference]] = [
    p.UPLOAD_IN_PATH,
    p.TUS_RESUMABLE,
    p.REQUEST_ID_FIELD,
]
_REFUSALS: Final = (*COMMON, "invalid_request", "scope_missing", "precondition_failed")

_CREATE: Final = Operation(
    operation_id="createUpload",
    tags=[_TAG],
    summary="Begin a resumable upload",
    description="Takes no byte yet: they come by PATCH to the URL of `Location`, in as many"
    " requests as it takes. What is said here is what a whole upload says: `replace=true` makes it"
    " a PUT by key, else it is a POST, which claims its key now. The URL is the client's to keep,"
    " and is good for whoever may write where it leads; it ends at `Upload-Expires` unless bytes"
    " come.\n\nThis is tus 1.0.0 with creation, expiration and termination, which OPTIONS says,"
    " too; `Upload-Metadata` and `Upload-Defer-Length` are not looked at. A storage class on an"
    " object store answers 501: send the content as a whole there.",
    parameters=[
        p.NAMESPACE_IN_QUERY,
        p.TENANT_IN_QUERY,
        p.KEY_IN_QUERY,
        p.REPLACE,
        p.STORAGE_CLASS,
        p.UPLOAD_LENGTH,
        p.TUS_RESUMABLE,
        p.CONTENT_TYPE,
        p.OBJECT_METADATA,
        p.X_CONTENT_HASH,
        p.REPR_DIGEST_FIELD,
        p.CONTENT_DIGEST,
        p.IF_NONE_MATCH,
        p.IF_MATCH,
        p.REQUEST_ID_FIELD,
    ],
    responses={
        "201": OpenAPIResponse(description="Begun", headers=UPLOAD_BEGUN),
        **problem_responses(
            *_REFUSALS,
            "invalid_name",
            "invalid_metadata",
            "tenant_forbidden",
            "key_conflict",
            "body_too_large",
            "unsupported_media_type",
            "read_only",
            "storage_full",
            "unsupported_operation",
            instance="/v1/uploads",
        ),
    },
)


def _head() -> Operation:
    responses = problem_responses(*_REFUSALS, "not_found", instance=_PATH)
    for response in responses.values():
        assert isinstance(response, OpenAPIResponse)
        response.content = None
    return Operation(
        operation_id="headUpload",
        tags=[_TAG],
        summary="Ask how far an upload has come",
        description="`Upload-Offset` bytes are durable, and need not be sent again. Of an upload"
        " that is over and done it tells the object, too: so whoever lost the last answer hears how"
        " it ended, also where the object was replaced or deleted since, for as long as an upload"
        " may rest. 404: it was given up, has expired, or failed for good.",
        parameters=_OF_ONE,
        responses={
            "200": OpenAPIResponse(description="It is there", headers=STORED_UPLOAD),
            **responses,
        },
    )


_APPEND: Final = Operation(
    operation_id="appendToUpload",
    tags=[_TAG],
    summary="Send bytes of an upload",
    description="Those from `Upload-Offset` on. Success means that all that were sent are durable;"
    " where the connection breaks, HEAD says which of them are. The request that brings the last"
    " one stores the object, and its answer is that of a whole upload: 204, or 200 with the object"
    " where `Prefer: return=representation` asks for it. Preconditions and digests are judged"
    " then. Sent again without a byte, at the end, it has the same answer. The upload lives on for"
    " as long as `Upload-Expires` says: longer once bytes are kept. A refusal prolongs nothing.",
    parameters=[
        p.UPLOAD_IN_PATH,
        p.UPLOAD_OFFSET,
        p.TUS_RESUMABLE,
        p.PREFER,
        p.REQUEST_ID_FIELD,
    ],
    request_body=RequestBody(
        description="Bytes of the content, as they are",
        content={
            "application/offset+octet-stream": OpenAPIMediaType(
                schema=Schema(type=OpenAPIType.STRING, format="binary"),  # type: ignore[arg-type]
                example="hello",
            )
        },
        required=True,
    ),
    responses={
        "200": OpenAPIResponse(
            description="Stored, and the answer was asked for",
            headers=STORED_UPLOAD,
            content={
                "application/json": OpenAPIMediaType(
                    schema=Reference(ref="#/components/schemas/ObjectDto"), example=OBJECT
                )
            },
        ),
        "204": OpenAPIResponse(
            description="The bytes are durable; with `Location`, the object is stored",
            headers=PROGRESS,
        ),
        **problem_responses(
            *_REFUSALS,
            "digest_mismatch",
            "not_found",
            "upload_too_slow",
            "upload_expired",
            "upload_in_use",
            "offset_mismatch",
            "body_too_large",
            "unsupported_media_type",
            "read_only",
            "storage_full",
            instance=_PATH,
        ),
    },
)

_GIVE_UP: Final = Operation(
    operation_id="giveUpUpload",
    tags=[_TAG],
    summary="Give an upload up",
    description="Nothing of it stays, and its key is free. One that is over is 404; its object, if"
    " it became one, stays. A request that still brings bytes notices it within minutes.",
    parameters=_OF_ONE,
    responses={
        "204": OpenAPIResponse(
            description="Given up",
            headers={name: PROGRESS[name] for name in ("Tus-Resumable", "X-Request-Id")},
        ),
        **problem_responses(*_REFUSALS, "not_found", "read_only", "storage_full", instance=_PATH),
    },
)

_SPOKEN: Final = Operation(
    operation_id="getUploadOptions",
    tags=[_TAG],
    summary="Ask what is spoken",
    description="What tus wants to be told: its version, its extensions, the largest content.",
    parameters=[p.REQUEST_ID_FIELD],
    responses={
        "204": OpenAPIResponse(description="This", headers=SPOKEN),
        **problem_responses(*COMMON, "invalid_request", instance="/v1/uploads"),
    },
)

UPLOADS_ITEM: Final = PathItem(post=_CREATE, options=_SPOKEN)
UPLOAD_ITEM: Final = PathItem(head=_head(), patch=_APPEND, delete=_GIVE_UP)
