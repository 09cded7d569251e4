"""The document: Litestar describes its own routes, and the calls that carry bytes are added."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import (
    Components,
    License,
    OpenAPI,
    OpenAPIResponse,
    Operation,
    Parameter,
    PathItem,
    SecurityScheme,
    Server,
    Tag,
)

from juststorage_api import __version__
from juststorage_api._access import NEEDS, OPERATIONS
from juststorage_api._dto import UUID_PATTERN
from juststorage_api._openapi import parameters as p
from juststorage_api._openapi.examples import API_KEY_ID, NULL
from juststorage_api._openapi.headers import REQUEST_ID, UPLOADED, Headers, text_header
from juststorage_api._openapi.pages import list_objects
from juststorage_api._openapi.problems import COMMON, PROBLEM_SCHEMA, problem_responses
from juststorage_api._openapi.reads import delete, download, head
from juststorage_api._openapi.resumable import UPLOAD_ITEM, UPLOADS_ITEM
from juststorage_api._openapi.uploads import POST_OBJECT, PUT_BY_KEY

__all__ = ["openapi_document"]

_DESCRIPTION: Final = """\
Content-addressed object storage. An object has an id, optionally a key of the client's choice, and
bytes that are stored once however many objects share them.

Times are RFC 3339 in UTC, sizes are bytes. A query parameter that is unknown or repeated is an
error (400), so that a typo is heard. A method that a path does not have is 405, with `Allow`; a
path that is none is 404. Errors are problem documents (RFC 9457); programs decide by
their `code`. Every answer carries `X-Request-Id`.
"""

_TAGS: Final = [
    Tag(name="Objects", description="Objects by their id, and lists of them"),
    Tag(name="Objects by key", description="Objects by the client's own names"),
    Tag(name="Resumable uploads", description="Large content over a connection that breaks"),
    Tag(name="Usage", description="How much is stored"),
    Tag(name="API keys", description="Who may call; for callers with the scope `keys:manage`"),
    Tag(name="Administration", description="For callers with the scope `admin`"),
    Tag(name="Operations", description="Whether the service lives and works; open to everyone"),
]

_READ: Final = ("tenant_forbidden", "scope_missing", "invalid_request", "invalid_name")
_KEYS: Final = ("scope_missing", "invalid_request")
_BODY: Final = ("body_too_large", "unsupported_media_type", "upload_too_slow")
_MOVED: Final = (
    "not_found",
    "key_conflict",
    "upload_expired",
    "precondition_failed",
    "blob_missing",
    "storage_full",
)
_PROBLEMS: Final[dict[str, tuple[str, ...]]] = {
    "listObjects": (*COMMON, *_READ, "invalid_cursor"),
    "getObjectMetadata": (*COMMON, *_READ, "not_found"),
    "changeObject": (*COMMON, *_READ, *_BODY, *_MOVED, "invalid_metadata", "read_only"),
    "copyObject": (
        *(*COMMON, *_READ, *_BODY, *_MOVED, "read_only"),
        *("idempotency_in_flight", "idempotency_mismatch"),
    ),
    "deleteObjects": (*COMMON, *_READ, *_BODY, "read_only", "storage_full"),
    "searchObjects": (*COMMON, *_READ, *_BODY, "invalid_cursor"),
    "getUsage": (*COMMON, *_READ),
    "listPlugins": (*COMMON, "scope_missing", "invalid_request"),
    "createApiKey": (*COMMON, *_KEYS, "invalid_name", "tenant_forbidden", "storage_full", *_BODY),
    "listApiKeys": (*COMMON, *_KEYS, "invalid_cursor"),
    "getApiKey": (*COMMON, *_KEYS, "not_found"),
    "changeApiKey": (*COMMON, *_KEYS, "not_found", "invalid_state", "storage_full", *_BODY),
    "revokeApiKey": (*COMMON, *_KEYS, "not_found", "invalid_state", "storage_full"),
    "getCollector": (*COMMON, "scope_missing", "invalid_request"),
    "collectGarbage": (*COMMON, "scope_missing", "invalid_request", "read_only", *_BODY),
    "getReadOnly": (*COMMON, "scope_missing", "invalid_request"),
    "setReadOnly": (*COMMON, "scope_missing", "invalid_request", "storage_full", *_BODY),
    "getHealth": ("invalid_request", "headers_too_large"),
    "getReadiness": ("invalid_request", "headers_too_large", "unavailable"),
    "getStartup": ("invalid_request", "headers_too_large", "unavailable"),
    "getMetrics": (
        *("invalid_request", "headers_too_large", "not_found"),
        *("unauthenticated", "scope_missing"),
    ),
}
"""What the routes of the framework may answer besides success."""

_PARAMETERS: Final[dict[str, list[Parameter]]] = {
    "listObjects": [p.NAMESPACE_FILTER, p.TENANT_IN_QUERY, p.PREFIX, p.LIMIT, p.CURSOR],
    "getObjectMetadata": [p.OBJECT_ID_IN_PATH, p.TENANT_IN_QUERY],
    "changeObject": [p.OBJECT_ID_IN_PATH, p.TENANT_IN_QUERY],
    "copyObject": [p.OBJECT_ID_IN_PATH, p.TENANT_IN_QUERY],
    "deleteObjects": [],
    "searchObjects": [],
    "getUsage": [p.TENANT_IN_QUERY, p.NAMESPACE_FILTER, p.PHYSICAL],
    "createApiKey": [],
    "listApiKeys": [p.LIMIT, p.CURSOR],
    "getApiKey": [p.API_KEY_ID_IN_PATH],
    "changeApiKey": [p.API_KEY_ID_IN_PATH],
    "revokeApiKey": [p.API_KEY_ID_IN_PATH],
    "getCollector": [],
    "collectGarbage": [],
    "listPlugins": [],
    "getHealth": [],
    "getReadiness": [],
    "getStartup": [],
    "getMetrics": [],
    "getReadOnly": [],
    "setReadOnly": [],
}
"""Their parameters, in the words that the other calls use."""


_FIELDS: Final[dict[str, list[Parameter]]] = {
    "changeObject": [p.IF_MATCH, p.IF_NONE_MATCH],
    "copyObject": [p.IF_NONE_MATCH, p.IDEMPOTENCY_KEY],
}
"""Header fields that they look at."""

_HEADERS: Final[dict[str, dict[str, Headers]]] = {
    "changeObject": {"200": {"ETag": UPLOADED["ETag"]}},
    "copyObject": {"201": {"Location": UPLOADED["Location"], "ETag": UPLOADED["ETag"]}},
    "createApiKey": {
        "201": {"Location": text_header("Where the key is", f"/v1/api-keys/{API_KEY_ID}")}
    },
}
"""What their answers carry besides the request id, by status."""


@cache
def openapi_document() -> dict[str, Any]:
    """The document as JSON values, made at the first call. Not to be changed by its reader."""
    from juststorage_api._openapi.bodies import body_schemas, request_bodies

    # An application of its own, which serves nobody: it exists to be described.
    from juststorage_api._routes.application import DOCUMENTED

    described = Litestar(
        route_handlers=[list_objects, *DOCUMENTED],
        # Named, so that it is not taken for a parameter; never called.
        dependencies={"services": Provide(_nobody)},
        openapi_config=_config(),
        logging_config=None,
    )
    document = described.openapi_schema
    bodies = request_bodies()
    for path, item in (document.paths or {}).items():
        for operation in _operations(item):
            _complete(operation, path)
            operation.request_body = bodies.get(operation.operation_id or "")
    _add_data_calls(document)
    _declare_scopes(document)
    document.components.schemas["Problem"] = PROBLEM_SCHEMA
    # No operation has it, because it is about the methods that are none.
    refused = problem_responses("method_not_allowed", instance="/health")
    document.components.responses = {"MethodNotAllowed": refused["405"]}
    schema: dict[str, Any] = _with_nulls(document.to_schema())
    schemas = schema["components"]["schemas"] = body_schemas() | schema["components"]["schemas"]
    for described in schemas.values():
        for each in described.get("properties", {}).values():
            # The framework takes patterns from our types, but no formats.
            if each.get("pattern") == UUID_PATTERN:
                each["format"] = "uuid"
    return schema


def _with_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_nulls(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_nulls(each) for each in value]
    return None if value == NULL else value


async def _nobody() -> None:
    raise AssertionError("this application serves nobody")


def _config() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="JustStorage",
        version=__version__,
        summary="Content-addressed object storage",
        description=_DESCRIPTION,
        license=License(name="Apache-2.0", identifier="Apache-2.0"),
        servers=[Server(url="/", description="This service")],
        tags=_TAGS,
        use_handler_docstrings=True,
        components=Components(
            security_schemes={
                "apiKey": SecurityScheme(
                    type="apiKey",
                    name="X-API-Key",
                    security_scheme_in="header",
                    description="A key that this service issued; `Authorization: ApiKey <key>`"
                    " is the same",
                ),
                "bearer": SecurityScheme(
                    type="http",
                    scheme="bearer",
                    bearer_format="JWT",
                    description="A token, where the service is configured to take them",
                ),
            }
        ),
        security=[{"apiKey": []}, {"bearer": []}],
    )


def _operations(item: PathItem) -> list[Operation]:
    every = (item.get, item.post, item.put, item.patch, item.delete, item.head)
    return [operation for operation in every if operation is not None]


def _complete(operation: Operation, path: str) -> None:
    """Put the words of this service where the framework can only guess."""
    assert operation.operation_id is not None and operation.responses is not None
    for status in [status for status in operation.responses if not status.startswith("2")]:
        del operation.responses[status]
    for response in operation.responses.values():
        if isinstance(response, OpenAPIResponse):
            response.headers = {**(response.headers or {}), "X-Request-Id": REQUEST_ID}
    for status, headers in _HEADERS.get(operation.operation_id, {}).items():
        described = operation.responses[status]
        assert isinstance(described, OpenAPIResponse)
        described.headers = {**headers, **(described.headers or {})}
    parameters = _PARAMETERS[operation.operation_id]
    operation.responses |= problem_responses(
        *_PROBLEMS[operation.operation_id], instance=_concrete(path, parameters)
    )
    generated = {each.name for each in operation.parameters or () if isinstance(each, Parameter)}
    assert generated == {each.name for each in parameters}, operation.operation_id
    fields = _FIELDS.get(operation.operation_id, [])
    operation.parameters = [*parameters, *fields, p.REQUEST_ID_FIELD]
    if not path.startswith("/v1/"):
        operation.security = []


def _declare_scopes(document: OpenAPI) -> None:
    """Say which scopes each call needs; for these schemes they are roles (OpenAPI 3.1, 4.8.30)."""
    for path, item in (document.paths or {}).items():
        for operation in _operations(item):
            if path.startswith("/v1/"):
                calls = OPERATIONS.get(operation.operation_id or "", ())
                scopes = sorted({str(NEEDS[call]) for call in calls})
                operation.security = [{"apiKey": scopes}, {"bearer": scopes}]


def _concrete(path: str, parameters: list[Parameter]) -> str:
    """The path of a request, with the examples of its parameters in it."""
    for each in parameters:
        path = path.replace(f"{{{each.name}}}", str(each.example))
    return path


def _add_data_calls(document: OpenAPI) -> None:
    assert document.paths is not None
    document.paths["/v1/objects"].post = POST_OBJECT
    by_id = document.paths["/v1/objects/{id}"]
    by_id.get, by_id.head = download(by_key=False), head(by_key=False)
    by_id.delete = delete(by_key=False)
    document.paths["/v1/objects/by-key/{namespace}/{tenant_id}/{key}"] = PathItem(
        put=PUT_BY_KEY,
        get=download(by_key=True),
        head=head(by_key=True),
        delete=delete(by_key=True),
    )
    document.paths["/v1/uploads"] = UPLOADS_ITEM
    document.paths["/v1/uploads/{upload}"] = UPLOAD_ITEM
