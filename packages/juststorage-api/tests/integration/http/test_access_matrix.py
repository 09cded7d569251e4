"""Every call of the OpenAPI document, with no credential, the wrong one and the right one.

The calls, their parameters, bodies and scopes are all taken from the document, so a route that is
added tomorrow is tested tomorrow. One that the document does not have is found by comparing it with
the routes of the application.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from juststorage.domain import Scope
from juststorage_api._openapi.document import openapi_document
from juststorage_api._routes.application import DOCUMENTED

NEVER = "01a21098-f290-7cc4-9518-d64de021c446"
METHODS = ("get", "head", "post", "put", "patch", "delete")
ADMIN = str(Scope.ADMIN)


@dataclass(frozen=True)
class Operation:
    """One call of the document."""

    name: str
    method: str
    path: str
    parameters: list[dict[str, Any]]
    body: tuple[str, Any] | None
    scopes: frozenset[str]

    @property
    def names_a_tenant(self) -> bool:
        """Whether a caller can say which tenant it is about."""
        in_body = self.body is not None and isinstance(self.body[1], dict)
        return any(each["name"] == "tenant_id" for each in self.parameters) or (
            in_body and "tenant_id" in self.body[1]  # type: ignore[index]
        )

    @property
    def is_about_an_object(self) -> bool:
        """Whether its path has an object's id."""
        return self.path.startswith("/v1/objects/{id}")

    def url(self, values: dict[str, str]) -> str:
        """Its path, and of its query what is required or given."""
        path, query = self.path, []
        for each in self.parameters:
            name = each["name"]
            value = values.get(name, str(each.get("example")))
            if each["in"] == "path":
                path = path.replace(f"{{{name}}}", quote(value))
            elif each["in"] == "query" and (each.get("required") or name in values):
                query.append(f"{name}={quote(value)}")
        return path + ("?" + "&".join(query) if query else "")

    def content(self, values: dict[str, str]) -> tuple[dict[str, str], bytes | None]:
        """Its headers and body."""
        headers = {
            each["name"]: str(each["example"]) for each in self.parameters if each["in"] == "header"
        }
        if self.body is None:
            return headers, None
        media_type, example = self.body
        if not media_type.endswith("json"):
            return {**headers, "Content-Type": media_type}, b"x"
        filled = {name: values.get(name, value) for name, value in example.items()}
        if "ids" in filled:
            filled["ids"] = [values.get("id", NEVER)]
        return {**headers, "Content-Type": media_type}, json.dumps(filled).encode()


def operations() -> Iterator[Operation]:
    """All of them below /v1."""
    for path, item in openapi_document()["paths"].items():
        for method in METHODS:
            if method in item and path.startswith("/v1/"):
                described = item[method]
                body = None
                for media_type, content in described.get("requestBody", {"content": {}})[
                    "content"
                ].items():
                    body = (media_type, content.get("example"))
                yield Operation(
                    name=described["operationId"],
                    method=method.upper(),
                    path=path,
                    parameters=[
                        each
                        for each in described["parameters"]
                        if each["in"] in {"path", "query"} or each.get("required")
                    ],
                    body=body,
                    scopes=frozenset(described["security"][0]["apiKey"]),
                )


EVERY = [pytest.param(each, id=each.name) for each in operations()]
TENANTS = [each for each in EVERY if each.values[0].names_a_tenant]
BY_ID = [each for each in EVERY if each.values[0].is_about_an_object]

Call = Callable[..., Any]


@pytest.fixture
def call(api: Any) -> Call:
    """Makes an operation's call with a key's text, or without any."""

    def make(operation: Operation, text: str | None, request_id: str = "", **values: str) -> Any:
        headers, body = operation.content(values)
        if text is not None:
            headers["X-API-Key"] = text
        if request_id:
            headers["X-Request-Id"] = request_id
        return api.call(
            operation.method, operation.url(values), key=None, headers=headers, body=body
        )

    return make


@pytest.fixture(scope="session")
def key_with(api: Any) -> Call:
    """The text of a key with these scopes for this tenant; one for each pair."""
    made: dict[Any, str] = {}

    def find(scopes: frozenset[str], tenant: str = "t1") -> str:
        if (scopes, tenant) not in made:
            asked = {"name": "matrix", "tenants": [tenant], "scopes": sorted(scopes)}
            answer = api.call(
                "POST",
                "/v1/api-keys",
                headers={"Content-Type": "application/json"},
                body=json.dumps(asked).encode(),
            )
            made[scopes, tenant] = answer.json["key"]
        return made[scopes, tenant]

    return find


def code_of(operation: Operation, answer: Any) -> str | None:
    """The problem's code, where the answer has a body."""
    if operation.method == "HEAD":
        return None
    code: str = answer.code
    return code


def test_every_operation_says_what_it_needs() -> None:
    """Under /v1 nothing is open, and each scope is one that exists."""
    for param in EVERY:
        operation = param.values[0]
        assert operation.scopes, f"{operation.name} is missing in _access.OPERATIONS"
        assert operation.scopes <= {str(scope) for scope in Scope}


@pytest.mark.parametrize("operation", EVERY)
def test_no_credential(call: Call, operation: Operation) -> None:
    """401, before anything else is looked at, and how to come back."""
    answer = call(operation, None, tenant_id="t1")
    assert answer.status == 401
    assert answer.headers["www-authenticate"]
    assert code_of(operation, answer) in {None, "unauthenticated"}


@pytest.mark.parametrize("operation", EVERY)
def test_a_credential_that_is_none(call: Call, operation: Operation) -> None:
    """401 as well."""
    assert call(operation, "js_" + "0" * 12 + "_" + "A" * 43, tenant_id="t1").status == 401


@pytest.mark.parametrize("operation", EVERY)
def test_a_missing_scope(call: Call, key_with: Call, operation: Operation) -> None:
    """All the other scopes together are not enough; the missing one is named."""
    for needed in operation.scopes:
        others = frozenset(map(str, Scope)) - {needed, ADMIN}
        if not others:
            continue
        answer = call(operation, key_with(others), tenant_id="t1")
        assert answer.status == 403
        assert code_of(operation, answer) in {None, "scope_missing"}
        if operation.method != "HEAD":
            assert answer.json["scope"] == needed


@pytest.mark.parametrize("operation", TENANTS)
def test_another_tenant(call: Call, key_with: Call, operation: Operation) -> None:
    """Naming one that the credential does not hold is 403, admin or not."""
    for scopes in (operation.scopes, frozenset({ADMIN})):
        answer = call(operation, key_with(scopes), tenant_id="t2")
        assert answer.status == 403
        assert code_of(operation, answer) in {None, "tenant_forbidden"}


@pytest.mark.parametrize("operation", EVERY)
def test_the_right_credential(api: Any, call: Call, key_with: Call, operation: Operation) -> None:
    """Exactly the scopes that the document names are enough, and so is admin."""
    for scopes in (operation.scopes, frozenset({ADMIN})):
        values = {"tenant_id": "t1", "key": str(uuid4())}
        if operation.name == "createApiKey":
            # What is granted must be held; that has tests of its own.
            answer = call(operation, key_with(scopes), **values)
            assert (answer.status, answer.code) in {
                (403, "tenant_forbidden"),
                (403, "scope_missing"),
            }
            continue
        answer = call(operation, key_with(scopes), **values)
        assert answer.status not in {401, 403}
        assert answer.status < 500
        if operation.name == "createUpload":
            # It would rest, and tests of other modules look for what rests.
            assert api.call("DELETE", answer.headers["location"]).status == 204


@pytest.mark.parametrize("operation", BY_ID)
def test_a_foreign_id_is_answered_like_none(
    api: Any, call: Call, key_with: Call, operation: Operation
) -> None:
    """Byte for byte and header for header, but for the request id and the id itself."""
    url = "/v1/objects/by-key/ns/t2/foreign-of-matrix"
    foreign_id = api.put(url, b"x", key="other")["id"]
    text = key_with(operation.scopes)
    answers = []
    for object_id in (foreign_id, NEVER):
        answer = call(operation, text, "the-same-id", id=object_id, tenant_id="t1")
        assert answer.status == 404
        del answer.headers["date"]
        answers.append((answer.headers, answer.body.replace(object_id.encode(), b"ID")))
    assert answers[0] == answers[1]
    assert api.call("GET", url, key="other").status == 200


@pytest.mark.parametrize("operation", EVERY)
def test_two_credentials(api: Any, operation: Operation) -> None:
    """400, whichever of them is good: nobody guesses which one was meant."""
    text = api.secret("admin")
    for second in (("X-API-Key", text), ("Authorization", "Bearer x"), ("Authorization", "x")):
        headers = [("Authorization", f"ApiKey {text}"), second]
        answer = api.call(
            operation.method, operation.url({"tenant_id": "t1"}), key=None, headers=headers
        )
        assert answer.status == 400
        assert code_of(operation, answer) in {None, "invalid_request"}


def test_the_document_has_every_call(api: Any) -> None:
    """Each method that a path allows is described, and so is each route of the framework."""
    described: dict[str, set[str]] = {}
    for param in EVERY:
        operation = param.values[0]
        described.setdefault(operation.path, set()).add(operation.method)
    for param in EVERY:
        operation = param.values[0]
        answer = api.call("PROPFIND", operation.url({"tenant_id": "t1"}))
        assert answer.status == 405
        allowed = set(answer.headers["allow"].replace(" ", "").split(","))
        assert allowed - {"OPTIONS"} <= described[operation.path]
    for handler in DOCUMENTED:
        for path in handler.paths:
            if path.startswith("/v1/"):
                assert re.sub(r":\w+}", "}", path) in described
