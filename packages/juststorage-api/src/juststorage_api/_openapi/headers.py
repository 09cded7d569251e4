"""Response headers, each described once."""

from __future__ import annotations

from typing import Final

from litestar.openapi.spec import OpenAPIHeader, Reference, Schema
from litestar.openapi.spec.enums import OpenAPIType

from juststorage_api._openapi.examples import (
    CONTENT_HASH,
    ETAG,
    OBJECT_ID,
    REPR_DIGEST,
    TICKET,
)

__all__ = [
    "NOT_MODIFIED",
    "PARTIAL",
    "PROGRESS",
    "RATE_LIMITED",
    "REQUEST_ID",
    "SPOKEN",
    "STORED_UPLOAD",
    "UPLOADED",
    "UPLOAD_BEGUN",
    "WHOLE",
    "Headers",
    "text_header",
]

Headers = dict[str, OpenAPIHeader | Reference]


def text_header(description: str, example: str) -> OpenAPIHeader:
    """A header whose value is text."""
    return OpenAPIHeader(
        description=description, schema=Schema(type=OpenAPIType.STRING), example=example
    )


REQUEST_ID: Final = text_header(
    "The caller's own id where it is 8 to 128 of A-Z a-z 0-9 . _ -, else one of ours",
    "9f1c2ab04d3e5f67-0000002a",
)
_ETAG: Final = text_header("The content hash in quotes: equal bytes, equal tag", ETAG)

UPLOADED: Final[Headers] = {
    "Location": text_header(
        "Where the object is, by id; with `?tenant_id=...` for callers who hold several tenants"
        " and must name one",
        f"/v1/objects/{OBJECT_ID}",
    ),
    "ETag": _ETAG,
    "X-Request-Id": REQUEST_ID,
}

NOT_MODIFIED: Final[Headers] = {
    "ETag": _ETAG,
    "Last-Modified": text_header(
        "When the object was last changed (`updated_at`)", "Wed, 25 Nov 2026 02:46:28 GMT"
    ),
    "X-Object-Id": text_header("The object's id, also when it was asked for by key", OBJECT_ID),
    "Cache-Control": text_header("Kept by the client alone, and asked about", "private, no-cache"),
    "X-Request-Id": REQUEST_ID,
}

_DOWNLOADED: Final[Headers] = {
    **NOT_MODIFIED,
    "X-Content-Hash": text_header("The content hash", CONTENT_HASH),
    "Repr-Digest": text_header("The same as RFC 9530 has it, of the whole content", REPR_DIGEST),
    "Accept-Ranges": text_header("Ranges are served", "bytes"),
    "Content-Length": OpenAPIHeader(
        description="Bytes", schema=Schema(type=OpenAPIType.INTEGER), example=5
    ),
    "Content-Disposition": text_header(
        "Only with `filename`", 'attachment; filename="weights.bin"'
    ),
    "X-Content-Type-Options": text_header("The stored type is not to be guessed about", "nosniff"),
    "Content-Security-Policy": text_header("What is stored here runs no script", "sandbox"),
}

WHOLE: Final[Headers] = {
    **_DOWNLOADED,
    "Content-Digest": text_header("Only where `Want-Content-Digest` asks for it", REPR_DIGEST),
}

PARTIAL: Final[Headers] = {
    **_DOWNLOADED,
    "Content-Range": text_header(
        "Which bytes these are; not for several parts, which tell it one by one", "bytes 0-1/5"
    ),
}


def _number(description: str, example: int) -> OpenAPIHeader:
    return OpenAPIHeader(
        description=description, schema=Schema(type=OpenAPIType.INTEGER), example=example
    )


RATE_LIMITED: Final[Headers] = {
    "Retry-After": _number("Seconds to wait", 17),
    "RateLimit-Limit": _number(
        "Requests of the window; on every answer under /v1 where there is a limit, about the one"
        " that is nearest to its end",
        1000,
    ),
    "RateLimit-Remaining": _number("What is left of them", 0),
    "RateLimit-Reset": _number("Seconds until the window ends", 17),
    "RateLimit-Policy": text_header(
        "The limit, and the length of its window in seconds", "1000;w=60"
    ),
}

_TUS: Final[Headers] = {
    "Tus-Resumable": text_header("The version of tus", "1.0.0"),
    "X-Request-Id": REQUEST_ID,
}
_OFFSET: Final = _number("Bytes that are durable", 5)
_EXPIRES: Final = text_header(
    "When it ends unless bytes come before; not where it is stored", "Thu, 26 Nov 2026 02:46:28 GMT"
)
_STORED: Final[Headers] = {
    name: text_header(f"{description}; once it is stored", example)
    for name, description, example in (
        ("Location", "Where the object is, as for a whole upload", f"/v1/objects/{OBJECT_ID}"),
        ("ETag", "The content hash in quotes", ETAG),
        ("X-Object-Id", "The object's id", OBJECT_ID),
    )
}

SPOKEN: Final[Headers] = {
    "Tus-Version": text_header("Versions of tus", "1.0.0"),
    "Tus-Extension": text_header("Extensions of it", "creation,expiration,termination"),
    "Tus-Max-Size": _number("Bytes of the largest content", 2**40),
    **_TUS,
}

UPLOAD_BEGUN: Final[Headers] = {
    "Location": text_header("Where its bytes go", f"/v1/uploads/{TICKET}"),
    "Upload-Offset": _number("Bytes that are durable: none yet", 0),
    "Upload-Expires": _EXPIRES,
    **_TUS,
}

PROGRESS: Final[Headers] = {
    "Upload-Offset": _OFFSET,
    "Upload-Expires": _EXPIRES,
    **_STORED,
    **_TUS,
}

STORED_UPLOAD: Final[Headers] = {
    "Upload-Offset": _OFFSET,
    "Upload-Length": _number("Bytes of the whole content, for HEAD", 5),
    **_STORED,
    **_TUS,
}
