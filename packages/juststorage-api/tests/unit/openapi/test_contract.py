"""The document says all of the contract: each problem where it can occur, each field, each path."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from juststorage_api._http.problem import PROBLEMS
from juststorage_api._openapi.document import openapi_document
from juststorage_api._openapi.problems import COMMON
from juststorage_api._routes.application import DOCUMENTED

DOCUMENT = openapi_document()
METHODS = ("get", "head", "post", "put", "patch", "delete")

READS = {"getObject", "getObjectByKey", "headObject", "headObjectByKey"}
GETS = {"getObject", "getObjectByKey"}
UPLOADS = {"createObject", "putObjectByKey"}
RESUMABLE = {"createUpload", "headUpload", "appendToUpload", "giveUpUpload"}
OF_AN_UPLOAD = RESUMABLE - {"createUpload"}
DELETES = {"deleteObject", "deleteObjectByKey"}
JSON = {
    "changeObject", "copyObject", "deleteObjects", "searchObjects", "createApiKey", "changeApiKey",
    "collectGarbage", "setReadOnly",
}  # fmt: skip
BY_OBJECT_ID = {
    "getObject", "headObject", "deleteObject", "getObjectMetadata", "changeObject", "copyObject",
}  # fmt: skip
BY_KEY = {"getObjectByKey", "headObjectByKey", "deleteObjectByKey"}
BY_KEY_ID = {"getApiKey", "changeApiKey", "revokeApiKey"}
TENANTS = (
    READS | UPLOADS | DELETES
    | {"getObjectMetadata", "changeObject", "copyObject", "deleteObjects", "searchObjects",
       "listObjects", "getUsage", "createUpload"}
)  # fmt: skip
OPEN = {"getHealth", "getReadiness", "getStartup", "getMetrics"}
EVERY = (
    TENANTS
    | RESUMABLE
    | JSON
    | BY_KEY_ID
    | {"listApiKeys", "getCollector", "listPlugins", "getReadOnly"}
)
CHANGES = (
    UPLOADS | DELETES | (RESUMABLE - {"headUpload"})
    | {"changeObject", "copyObject", "deleteObjects", "collectGarbage"}
)  # fmt: skip

TABLE: dict[tuple[int, str], set[str]] = {
    (400, "invalid_request"): EVERY | OPEN,
    (400, "invalid_name"): TENANTS | {"createApiKey"},
    (400, "invalid_metadata"): UPLOADS | {"changeObject", "createUpload"},
    (400, "invalid_cursor"): {"listObjects", "searchObjects", "listApiKeys"},
    (400, "digest_mismatch"): UPLOADS | {"appendToUpload"},
    (401, "unauthenticated"): EVERY | {"getMetrics"},
    (403, "tenant_forbidden"): TENANTS | {"createApiKey"},
    (403, "scope_missing"): EVERY | {"getMetrics"},
    (404, "not_found"): BY_OBJECT_ID | BY_KEY | BY_KEY_ID | OF_AN_UPLOAD | {"getMetrics"},
    (408, "upload_too_slow"): UPLOADS | JSON | {"appendToUpload"},
    (413, "body_too_large"): UPLOADS | JSON | {"appendToUpload", "createUpload"},
    (415, "unsupported_media_type"): UPLOADS | JSON | {"appendToUpload", "createUpload"},
    (416, "range_not_satisfiable"): GETS,
    (422, "idempotency_mismatch"): UPLOADS | {"copyObject"},
    (409, "key_conflict"): {"createObject", "changeObject", "copyObject", "createUpload"},
    (409, "upload_expired"): UPLOADS | {"changeObject", "copyObject", "appendToUpload"},
    (409, "upload_in_use"): {"appendToUpload"},
    (409, "offset_mismatch"): {"appendToUpload"},
    (409, "invalid_state"): {"changeApiKey", "revokeApiKey"},
    (409, "idempotency_in_flight"): UPLOADS | {"copyObject"},
    (412, "precondition_failed"): (
        READS | UPLOADS | DELETES | RESUMABLE | {"changeObject", "copyObject"}
    ),
    (429, "rate_limited"): EVERY,
    (431, "headers_too_large"): EVERY | OPEN,
    (500, "internal"): EVERY,
    (500, "blob_missing"): READS | {"changeObject", "copyObject"},
    (501, "unsupported_operation"): {"createUpload"},
    (503, "unavailable"): EVERY | {"getReadiness", "getStartup"},
    (503, "read_only"): CHANGES,
    (507, "storage_full"): (
        (CHANGES - {"collectGarbage"})
        | {"createApiKey", "changeApiKey", "revokeApiKey", "setReadOnly"}
    ),
}
"""The contract's table of errors, and the operations in which each can occur."""


CALLS = """
POST /v1/objects
GET /v1/objects
PUT GET HEAD DELETE /v1/objects/by-key/{namespace}/{tenant_id}/{key}
GET HEAD PATCH DELETE /v1/objects/{id}
GET /v1/objects/{id}/metadata
POST /v1/objects/{id}/copy
POST /v1/objects/delete
POST /v1/objects/search
POST /v1/uploads
HEAD PATCH DELETE /v1/uploads/{upload}
GET /v1/usage
POST GET /v1/api-keys
GET PATCH DELETE /v1/api-keys/{id}
GET /health
GET /health/ready
GET /v1/admin/plugins
POST GET /v1/admin/gc
"""
"""The contract's calls, as it lists them."""


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every operation with its path and method."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, method, item[method]


OPERATIONS = {operation["operationId"]: operation for _, _, operation in operations()}


def codes(operation: dict[str, Any], status: int) -> set[str]:
    """The codes of an answer."""
    response = operation["responses"].get(str(status), {})
    # HEAD has no content: its description tells them.
    return set(re.findall(r"`(\w+)`:", response.get("description", "")))


def test_it_is_valid() -> None:
    """OpenAPI 3.1, by a validator that is not ours."""
    assert DOCUMENT["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case[1])
def test_each_problem_is_where_it_can_occur(case: tuple[int, str]) -> None:
    """In each operation that can answer with it, and in no other, under its status."""
    status, code = case
    found = {name for name, each in OPERATIONS.items() if code in codes(each, status)}
    assert found == TABLE[case]


def test_the_table_is_whole() -> None:
    """Every code that the service knows is in it, but for 405, which no operation has."""
    assert {code for _, code in TABLE} == set(PROBLEMS) - {"method_not_allowed"}
    assert all(PROBLEMS[code].status == status for status, code in TABLE)
    assert set(COMMON) <= {code for _, code in TABLE}
    assert set(OPERATIONS) == EVERY | OPEN
    refused = DOCUMENT["components"]["responses"]["MethodNotAllowed"]
    assert "method_not_allowed" in refused["content"]["application/problem+json"]["examples"]
    assert "Allow" in refused["headers"]
    known = DOCUMENT["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]
    assert set(known) == set(PROBLEMS)


def test_every_call_of_the_contract_is_in_it() -> None:
    """A call that was promised is there, whether or not anybody wrote a route for it."""
    described = {(method.upper(), path) for path, method, _ in operations()}
    for line in CALLS.split("\n")[1:-1]:
        *methods, path = line.split()
        assert {(method, path) for method in methods} <= described, line


def test_every_route_is_in_it() -> None:
    """Those of the framework, and the calls that the front answers itself."""
    named = {getattr(handler, "operation_id", None) for handler in DOCUMENTED}
    assert named | READS | UPLOADS | RESUMABLE | DELETES | {"listObjects"} == set(OPERATIONS)


FIELDS: dict[str, set[str]] = {
    # what a client may send: header fields, by operation
    **{name: {"X-Request-Id"} for name in EVERY | OPEN},
    **{
        name: {"X-Request-Id", "If-Match", "If-None-Match", "If-Modified-Since",
               "If-Unmodified-Since", "Want-Content-Digest"}
        for name in READS
    },
    **{
        name: {"X-Request-Id", "If-Match", "If-None-Match", "If-Modified-Since",
               "If-Unmodified-Since", "Want-Content-Digest", "Range", "If-Range"}
        for name in GETS
    },
    **{name: {"X-Request-Id", "If-Match", "If-None-Match"} for name in DELETES | {"changeObject"}},
    "copyObject": {"X-Request-Id", "If-None-Match", "Idempotency-Key"},
    "createObject": {
        "X-Request-Id", "If-None-Match", "Idempotency-Key", "Content-Type", "X-Object-Metadata",
        "X-Content-Hash", "Repr-Digest", "Content-Digest", "Expect",
    },
    **{name: {"X-Request-Id", "Tus-Resumable"} for name in ("headUpload", "giveUpUpload")},
    "appendToUpload": {"X-Request-Id", "Tus-Resumable", "Upload-Offset", "Prefer"},
    "createUpload": {
        "X-Request-Id", "Tus-Resumable", "Upload-Length", "If-None-Match", "If-Match",
        "Content-Type", "X-Object-Metadata", "X-Content-Hash", "Repr-Digest", "Content-Digest",
    },
    "putObjectByKey": {
        "X-Request-Id", "If-None-Match", "If-Match", "Idempotency-Key", "Content-Type",
        "X-Object-Metadata", "X-Content-Hash", "Repr-Digest", "Content-Digest", "Expect",
    },
}  # fmt: skip

DOWNLOADED = {
    "ETag", "X-Object-Id", "X-Content-Hash", "Repr-Digest", "Accept-Ranges", "Last-Modified",
    "X-Content-Type-Options", "Content-Security-Policy", "Cache-Control", "Content-Disposition",
    "Content-Length", "X-Request-Id",
}  # fmt: skip
ANSWERED: dict[tuple[str, str], set[str]] = {
    ("createObject", "201"): {"Location", "ETag", "X-Request-Id"},
    ("putObjectByKey", "200"): {"Location", "ETag", "X-Request-Id"},
    ("putObjectByKey", "201"): {"Location", "ETag", "X-Request-Id"},
    ("createUpload", "201"): {"Location", "Upload-Offset", "Upload-Expires", "Tus-Resumable"},
    ("headUpload", "200"): {"Upload-Offset", "Upload-Length", "Location", "ETag", "X-Object-Id"},
    ("appendToUpload", "204"): {"Upload-Offset", "Upload-Expires", "Location", "ETag"},
    ("copyObject", "201"): {"Location", "ETag", "X-Request-Id"},
    ("changeObject", "200"): {"ETag", "X-Request-Id"},
    ("createApiKey", "201"): {"Location", "X-Request-Id"},
    **{(name, "200"): DOWNLOADED | {"Content-Digest"} for name in READS},
    **{(name, "206"): DOWNLOADED | {"Content-Range"} for name in GETS},
    **{(name, "304"): {"ETag", "Last-Modified", "X-Object-Id", "Cache-Control", "X-Request-Id"}
       for name in READS},
    **{(name, "416"): {"Content-Range"} for name in GETS},
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_the_fields_that_a_client_may_send(name: str) -> None:
    """Each is a parameter with a description, a schema and an example."""
    given = {each["name"]: each for each in OPERATIONS[name]["parameters"]}
    assert {each for each, about in given.items() if about["in"] == "header"} == FIELDS[name]
    for about in given.values():
        assert about["description"] and about["schema"] and about["example"] is not None


@pytest.mark.parametrize("case", sorted(ANSWERED), ids="-".join)
def test_the_fields_of_an_answer(case: tuple[str, str]) -> None:
    """Each that a client can rely on."""
    name, status = case
    assert set(OPERATIONS[name]["responses"][status]["headers"]) >= ANSWERED[case]


def test_every_answer_has_its_id_and_examples() -> None:
    """X-Request-Id everywhere, and an example of every body that there is."""
    for name, operation in OPERATIONS.items():
        for status, response in operation["responses"].items():
            assert "X-Request-Id" in response["headers"], (name, status)
            assert response["description"], (name, status)
            for content in response.get("content", {}).values():
                assert content.get("example") is not None or content["examples"], (name, status)
        for content in operation.get("requestBody", {}).get("content", {}).values():
            assert content["example"] is not None, name
