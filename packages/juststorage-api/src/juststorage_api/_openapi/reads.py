"""GET, HEAD and DELETE, described."""

from __future__ import annotations

from typing import Final

from litestar.openapi.spec import (
    OpenAPIMediaType,
    OpenAPIResponse,
    Operation,
    Parameter,
    Reference,
    Schema,
)
from litestar.openapi.spec.enums import OpenAPIType

from juststorage_api._openapi import parameters as p
from juststorage_api._openapi.examples import OBJECT_ID
from juststorage_api._openapi.headers import NOT_MODIFIED, PARTIAL, REQUEST_ID, WHOLE
from juststorage_api._openapi.problems import COMMON, problem_responses

__all__ = ["delete", "download", "head"]

_BY_ID: Final[list[Parameter | Reference]] = [p.OBJECT_ID_IN_PATH, p.TENANT_IN_QUERY]
_BY_KEY: Final[list[Parameter | Reference]] = [
    p.NAMESPACE_IN_PATH,
    p.TENANT_IN_PATH,
    p.KEY_IN_PATH,
]
_CONDITIONS: Final[list[Parameter | Reference]] = [
    p.IF_MATCH,
    p.IF_NONE_MATCH,
    p.IF_MODIFIED_SINCE,
    p.IF_UNMODIFIED_SINCE,
]
_REFUSALS: Final = (
    *COMMON,
    "invalid_request",
    "tenant_forbidden",
    "scope_missing",
    "not_found",
    "precondition_failed",
)


_PARTS: Final = (
    "\r\n".join(
        line
        for part in ("0-0/5\r\n\r\nh", "3-4/5\r\n\r\nlo")
        for line in (
            "--7a3f",
            "content-type: application/octet-stream",
            f"content-range: bytes {part}",
        )
    )
    + "\r\n--7a3f--\r\n"
)


def _content(
    example: str, media_type: str = "application/octet-stream"
) -> dict[str, OpenAPIMediaType]:
    return {
        media_type: OpenAPIMediaType(
            schema=Schema(type=OpenAPIType.STRING, format="binary"),  # type: ignore[arg-type]
            example=example,
        )
    }


def _target(by_key: bool) -> tuple[list[Parameter | Reference], str, str, tuple[str, ...]]:
    """Parameters, the end of the operation's name, the path, and the problems."""
    if by_key:
        path = "/v1/objects/by-key/models/acme/bert/weights.bin"
        return _BY_KEY, "ByKey", path, (*_REFUSALS, "invalid_name")
    return _BY_ID, "", f"/v1/objects/{OBJECT_ID}", (*_REFUSALS, "invalid_name")


def download(*, by_key: bool) -> Operation:
    """GET."""
    parameters, suffix, path, refusals = _target(by_key)
    return Operation(
        operation_id=f"getObject{suffix}",
        tags=["Objects by key" if by_key else "Objects"],
        summary="Download an object",
        description="The bytes, with the stored Content-Type. Whether an answer is whole can be"
        " checked by `Repr-Digest`; an answer that cannot be completed is cut off.",
        parameters=[
            *parameters,
            p.FILENAME,
            p.RANGE,
            p.IF_RANGE,
            *_CONDITIONS,
            p.WANT_CONTENT_DIGEST,
            p.REQUEST_ID_FIELD,
        ],
        responses={
            "200": OpenAPIResponse(
                description="The content", headers=WHOLE, content=_content("hello")
            ),
            "206": OpenAPIResponse(
                description="A part of it; several as `multipart/byteranges`, each of which has its"
                " own Content-Range",
                headers=PARTIAL,
                content={**_content("he"), **_content(_PARTS, "multipart/byteranges")},
            ),
            "304": OpenAPIResponse(description="Not modified", headers=NOT_MODIFIED),
            **problem_responses(*refusals, "range_not_satisfiable", "blob_missing", instance=path),
        },
    )


def head(*, by_key: bool) -> Operation:
    """HEAD."""
    parameters, suffix, path, refusals = _target(by_key)
    responses = problem_responses(*refusals, "blob_missing", instance=path)
    for response in responses.values():
        assert isinstance(response, OpenAPIResponse)
        response.content = None
    return Operation(
        operation_id=f"headObject{suffix}",
        tags=["Objects by key" if by_key else "Objects"],
        summary="Ask about an object",
        description="The header fields that GET would send, without the content, and GET's status"
        " where that fails. `Range` is ignored.",
        parameters=[
            *parameters,
            p.FILENAME,
            *_CONDITIONS,
            p.WANT_CONTENT_DIGEST,
            p.REQUEST_ID_FIELD,
        ],
        responses={
            "200": OpenAPIResponse(description="It is there", headers=WHOLE),
            "304": OpenAPIResponse(description="Not modified", headers=NOT_MODIFIED),
            **responses,
        },
    )


def delete(*, by_key: bool) -> Operation:
    """DELETE."""
    parameters, suffix, path, refusals = _target(by_key)
    return Operation(
        operation_id=f"deleteObject{suffix}",
        tags=["Objects by key" if by_key else "Objects"],
        summary="Delete an object",
        description="204 means that nobody can see it any more and that its key is free. Its bytes"
        " are collected later, unless another object has the same ones.",
        parameters=[*parameters, p.IF_MATCH, p.IF_NONE_MATCH, p.REQUEST_ID_FIELD],
        responses={
            "204": OpenAPIResponse(description="Deleted", headers={"X-Request-Id": REQUEST_ID}),
            **problem_responses(*refusals, "read_only", "storage_full", instance=path),
        },
    )
