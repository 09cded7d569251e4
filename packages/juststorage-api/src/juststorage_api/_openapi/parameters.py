"""Request parameters, each described once."""

from __future__ import annotations

from typing import Any, Final

from litestar.openapi.spec import Parameter, Schema
from litestar.openapi.spec.enums import OpenAPIFormat, OpenAPIType

from juststorage.domain import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from juststorage_api._openapi.examples import (
    API_KEY_ID,
    CONTENT_HASH,
    ETAG,
    NEXT_CURSOR,
    OBJECT_ID,
    REPR_DIGEST,
    TICKET,
)

__all__ = [
    "API_KEY_ID_IN_PATH",
    "CONTENT_DIGEST",
    "CONTENT_TYPE",
    "CURSOR",
    "EXPECT",
    "FILENAME",
    "IDEMPOTENCY_KEY",
    "IF_MATCH",
    "IF_MODIFIED_SINCE",
    "IF_NONE_MATCH",
    "IF_RANGE",
    "IF_UNMODIFIED_SINCE",
    "KEY_IN_PATH",
    "KEY_IN_QUERY",
    "KEY_PATTERN",
    "LIMIT",
    "NAMESPACE_FILTER",
    "NAMESPACE_IN_PATH",
    "NAMESPACE_IN_QUERY",
    "NAME_PATTERN",
    "OBJECT_ID_IN_PATH",
    "OBJECT_METADATA",
    "PHYSICAL",
    "PREFER",
    "PREFIX",
    "RANGE",
    "REPLACE",
    "REPR_DIGEST_FIELD",
    "REQUEST_ID_FIELD",
    "STORAGE_CLASS",
    "TENANT_IN_PATH",
    "TENANT_IN_QUERY",
    "TUS_RESUMABLE",
    "UPLOAD_IN_PATH",
    "UPLOAD_LENGTH",
    "UPLOAD_OFFSET",
    "WANT_CONTENT_DIGEST",
    "X_CONTENT_HASH",
]

NAME_PATTERN: Final = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
_NAME: Final = Schema(type=OpenAPIType.STRING, pattern=NAME_PATTERN)
KEY_PATTERN: Final = "^[^\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029]*$"
_KEY: Final = Schema(type=OpenAPIType.STRING, min_length=1, max_length=1024, pattern=KEY_PATTERN)
_TAGS: Final = Schema(
    type=OpenAPIType.STRING,
    pattern=r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$',
)
_TEXT: Final = Schema(type=OpenAPIType.STRING)


def _path(name: str, description: str, schema: Schema, example: str) -> Parameter:
    return Parameter(
        name=name,
        param_in="path",
        required=True,
        description=description,
        schema=schema,
        example=example,
    )


def _query(
    name: str, description: str, schema: Schema, example: Any, *, required: bool = False
) -> Parameter:
    return Parameter(
        name=name,
        param_in="query",
        required=required,
        description=description,
        schema=schema,
        example=example,
    )


def _header(
    name: str, description: str, example: Any, schema: Schema = _TEXT, *, required: bool = False
) -> Parameter:
    return Parameter(
        name=name,
        param_in="header",
        required=required,
        description=description,
        schema=schema,
        example=example,
    )


API_KEY_ID_IN_PATH: Final = _path(
    "id",
    "The key's id",
    Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
    API_KEY_ID,
)
OBJECT_ID_IN_PATH: Final = _path(
    "id",
    "The object's id; upper case is accepted",
    Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
    OBJECT_ID,
)
NAMESPACE_IN_PATH: Final = _path("namespace", "Groups a tenant's objects", _NAME, "models")
TENANT_IN_PATH: Final = _path("tenant_id", "Whose object it is", _NAME, "acme")
KEY_IN_PATH: Final = _path(
    "key",
    "The rest of the path, percent-decoded once: 1 to 1024 bytes of UTF-8 without control"
    " characters. Slashes may be sent as they are or as `%2F`, which is the same key; dots mean"
    " nothing.",
    _KEY,
    "bert/weights.bin",
)
TENANT_IN_QUERY: Final = _query(
    "tenant_id", "Whose object it is; may be left out by who holds one tenant only", _NAME, "acme"
)
NAMESPACE_IN_QUERY: Final = _query(
    "namespace", "Groups a tenant's objects", _NAME, "models", required=True
)
KEY_IN_QUERY: Final = _query(
    "key",
    "The client's own name for it: 1 to 1024 bytes of UTF-8 without control characters, unique"
    " among the live objects of a tenant and namespace",
    _KEY,
    "bert/weights.bin",
)
STORAGE_CLASS: Final = _query(
    "storage_class",
    "Which kind of volume keeps the bytes",
    Schema(type=OpenAPIType.STRING, enum=["hot", "cold"], default="hot"),
    "hot",
)
REPLACE: Final = _query(
    "replace",
    "Whether it takes the place of what holds the key when it is done, as a PUT does; else it"
    " claims the key from the beginning, as a POST does",
    Schema(type=OpenAPIType.BOOLEAN, default=False),
    True,
)
UPLOAD_IN_PATH: Final = _path(
    "upload",
    "What `Location` named when it began; long, opaque, and signed",
    Schema(type=OpenAPIType.STRING, pattern="^[A-Za-z0-9_-]+$"),
    TICKET,
)
FILENAME: Final = _query(
    "filename",
    "Adds a Content-Disposition that saves under this name",
    Schema(type=OpenAPIType.STRING, min_length=1, max_length=255, pattern=KEY_PATTERN),
    "weights.bin",
)

NAMESPACE_FILTER: Final = _query("namespace", "Only this one", _NAME, "models")
PREFIX: Final = _query(
    "prefix", "Only keys that begin with this; the page is ordered by key then", _TEXT, "bert/"
)
PHYSICAL: Final = _query(
    "physical",
    "Whether to add up physical bytes as well, which looks at each object",
    Schema(type=OpenAPIType.BOOLEAN, default=True),
    False,
)
LIMIT: Final = _query(
    "limit",
    "Objects on the page at most",
    Schema(type=OpenAPIType.INTEGER, minimum=1, maximum=PAGE_SIZE_MAX, default=PAGE_SIZE_DEFAULT),
    100,
)
CURSOR: Final = _query(
    "cursor",
    "`next_cursor` of the page before; everything but `limit` must be as it was there",
    _TEXT,
    NEXT_CURSOR,
)

CONTENT_TYPE: Final = _header(
    "Content-Type",
    "Stored, and sent with every download; `application/octet-stream` where there is none",
    "application/octet-stream",
)
OBJECT_METADATA: Final = _header(
    "X-Object-Metadata",
    "The object's metadata: a JSON object in ASCII (`\\u` escapes for the rest), 16 KiB at most",
    '{"owner": "ml-team"}',
)
X_CONTENT_HASH: Final = _header(
    "X-Content-Hash",
    "What the body must hash to; checked before commit",
    CONTENT_HASH,
    Schema(type=OpenAPIType.STRING, pattern="^sha256:[0-9a-f]{64}$"),
)
REPR_DIGEST_FIELD: Final = _header(
    "Repr-Digest",
    "The same as RFC 9530 has it: `sha-256` is checked before commit, other names are ignored",
    REPR_DIGEST,
)
CONTENT_DIGEST: Final = _header(
    "Content-Digest", "As `Repr-Digest`: no content coding is taken, so both mean one", REPR_DIGEST
)
WANT_CONTENT_DIGEST: Final = _header(
    "Want-Content-Digest",
    "With `sha-256`, an answer with the whole content has a `Content-Digest` too (RFC 9530)",
    "sha-256=10",
)
EXPECT: Final = _header(
    "Expect",
    "`100-continue`: a refusal that needs no body (401, 403, 409, 412, 413, 507) comes before it",
    "100-continue",
)
IDEMPOTENCY_KEY: Final = _header(
    "Idempotency-Key",
    "The client's own name for this request, unique among the tenant's for a day: sent again with"
    " it, the same request gets the first answer and does nothing. Another request with it is 422;"
    " while the first is under way, 409.",
    "order-2026-11-25-0042",
    Schema(type=OpenAPIType.STRING, pattern="^[!-~]{1,255}$"),
)
IF_MATCH: Final = _header(
    "If-Match",
    "Only if the current entity tag is one of these, or anything is there (`*`)",
    ETAG,
    _TAGS,
)
IF_NONE_MATCH: Final = _header(
    "If-None-Match",
    "Only if the current entity tag is none of these, or nothing is there (`*`)",
    ETAG,
    _TAGS,
)
IF_MODIFIED_SINCE: Final = _header(
    "If-Modified-Since",
    "304 unless it was changed later; not looked at beside If-None-Match",
    "Wed, 25 Nov 2026 02:46:28 GMT",
)
IF_UNMODIFIED_SINCE: Final = _header(
    "If-Unmodified-Since",
    "412 if it was changed later; not looked at beside If-Match",
    "Wed, 25 Nov 2026 02:46:28 GMT",
)
IF_RANGE: Final = _header(
    "If-Range", "An entity tag or date: the whole content unless it is still that one", ETAG
)
RANGE: Final = _header(
    "Range",
    "Bytes to send: `0-1`, `2-`, `-3`, or several, at most 16 once those that overlap or touch are"
    " merged. What is malformed is ignored.",
    "bytes=0-1",
)
REQUEST_ID_FIELD: Final = _header(
    "X-Request-Id",
    "An id of the caller's, for both sides' logs: 8 to 128 of A-Z a-z 0-9 . _ -. Any other one is"
    " replaced by one of ours.",
    "checkout-7f3a9c21",
)
_BYTES: Final = Schema(type=OpenAPIType.INTEGER, minimum=0)
UPLOAD_LENGTH: Final = _header(
    "Upload-Length", "Bytes of the whole content", 5, _BYTES, required=True
)
UPLOAD_OFFSET: Final = _header(
    "Upload-Offset",
    "Where the body belongs: how many bytes are there already, as HEAD says",
    0,
    _BYTES,
    required=True,
)
TUS_RESUMABLE: Final = _header(
    "Tus-Resumable",
    "The version of tus; may be left out, and another one is 412",
    "1.0.0",
    Schema(type=OpenAPIType.STRING, enum=["1.0.0"]),
)
PREFER: Final = _header(
    "Prefer",
    "`return=representation`: 200 and the object, where the answer is that it is stored (RFC 7240)",
    "return=representation",
)
