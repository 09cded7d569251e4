"""Text that means something to somebody, in every field that takes text: it is text, or refused."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.wire.wire import Answer, Service

DOCUMENT = json.loads((Path(__file__).parents[2] / "docs/openapi.json").read_text())

STRINGS = [
    "",
    " ",
    "' OR '1'='1",
    "'; DROP TABLE objects; --",
    '" OR ""="',
    "1) UNION ALL (VALUES (1)) --",
    "%",
    "_%",
    "\\",
    "\\'; --",
    "$1",
    ":tenant_id",
    "?",
    "{0}",
    "{{7*7}}",
    "${jndi:ldap://127.0.0.1/a}",
    "%s%n%d",
    "$(id)",
    "`id`",
    "| id",
    "../../../../etc/passwd",
    "..\\..\\boot.ini",
    "file:///etc/passwd",
    "<script>alert(1)</script>",
    '"><img src=x>',
    "a\r\nX-Evil: 1",
    "a\nX-Evil: 1",
    "a\r\n\r\nHTTP/1.1 200 OK\r\n",
    "a\x00b",
    "\x1b[31m",
    "\x7f",
    "\u202etxt.exe",
    "\ufeff",
    "\U0001f600" * 3,
    "e\u0301",
    "null",
    "true",
    "NaN",
    "-1",
    "1e999",
    "9" * 400,
    "[]",
    "{}",
    '{"$gt": ""}',
    "__proto__",
    "constructor.prototype",
    "a" * 1500,
    "*",
    "W/",
    "sha256:",
    "bytes=0-",
    "0001-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-14:00",
    "2026-02-30T00:00:00Z",
    "00000000-0000-0000-0000-000000000000",
]

EXPECTED = {"x-request-id", "content-type", "content-length", "cache-control", "date", "server",
            "connection", "retry-after", "www-authenticate", "allow", "location", "etag",
            "last-modified", "x-object-id", "x-content-hash", "repr-digest", "accept-ranges",
            "x-content-type-options", "content-security-policy", "content-disposition",
            "content-range", "preference-applied", "tus-extension", "tus-max-size", "tus-resumable",
            "tus-version", "upload-expires", "upload-length", "upload-offset"}  # fmt: skip
"""Every header field that an answer of this service has."""

JSON_TYPES = ("application/json", "application/merge-patch+json")


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Path, method and description of each."""
    for path, item in DOCUMENT["paths"].items():
        for method, operation in item.items():
            if method in {"get", "head", "post", "put", "patch", "delete"}:
                yield path, method.upper(), operation


def request(
    service: Service,
    tenant: str,
    path: str,
    method: str,
    operation: dict[str, Any],
    *,
    named: dict[str, Any] | None = None,
    body: Any = None,
) -> bytes:
    """A request of an operation: required parameters by their examples, others only if named."""
    named = {"tenant_id": tenant} | (named or {})
    query, fields = [], []
    for each in operation["parameters"]:
        name, where = each["name"], each["in"]
        if name not in named and not each.get("required"):
            continue
        value = str(named.get(name, each["example"]))
        if where == "path":
            path = path.replace("{" + name + "}", quote(value, safe=""))
        elif where == "query":
            query.append(f"{name}={quote(value, safe='')}")
        else:
            fields.append(f"{name}: {value}")
    data = b""
    content = operation.get("requestBody", {}).get("content", {})
    (media_type,) = content or ("",)
    if media_type in JSON_TYPES:
        given = copy.deepcopy(content[media_type]["example"]) if body is None else body
        if isinstance(given, dict) and "tenant_id" in given and body is None:
            given["tenant_id"] = tenant
        data = json.dumps(given).encode()
        fields.append(f"Content-Type: {media_type}")
    elif content:
        data = b"hello"
    if content:
        fields.append(f"Content-Length: {len(data)}")
    target = path + ("?" + "&".join(query) if query else "")
    head = service.head(method, target, *(each for each in fields if _is_sendable(each)))
    return head + data


def _is_sendable(field: str) -> bool:
    """Whether it can be a line of a head at all: test_heads.py sends the others."""
    return field.isascii() and not any(ord(c) < 0x20 or ord(c) == 0x7F for c in field)


def texts(schema: dict[str, Any], at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where in what a schema describes there is text: in each member, and the first of each list.

    Members whose names are free are there once, as `a`.
    """
    if "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    for each in schema.get("anyOf", ()):
        yield from texts(each, at)
    match schema.get("type"):
        case "string":
            yield at
        case "array":
            yield from texts(schema["items"], (*at, 0))
        case "object":
            for name, inner in schema.get("properties", {}).items():
                yield from texts(inner, (*at, name))
            others = schema.get("additionalProperties", {"type": "string"})
            if others is not False:
                yield from texts(others, (*at, "a"))


def replaced(value: Any, at: tuple[Any, ...], text: str) -> Any:
    """The value with another text in that place, and with what it takes to get there."""
    if not at:
        return text
    step, *rest = at
    if step == 0:
        return [replaced(None, tuple(rest), text)]
    members = value if isinstance(value, dict) else {}
    return members | {step: replaced(members.get(step), tuple(rest), text)}


def refuses_decently(answer: Answer) -> bool:
    """No 5xx, nothing of the inside, and no field that is not ours."""
    return answer.is_decent() and set(answer.headers) <= EXPECTED


PARAMETERS = [
    (path, method, each["name"])
    for path, method, operation in operations()
    for each in operation["parameters"]
    if each["name"] != "Expect"  # 100-continue changes how a body is sent
]


@pytest.mark.parametrize("case", PARAMETERS, ids=" ".join)
def test_parameters(service: Service, tenant: str, case: tuple[str, str, str]) -> None:
    """In the path, the query and header fields."""
    path, method, name = case
    operation = DOCUMENT["paths"][path][method.lower()]
    if name in {"namespace", "tenant_id", "key"} and "{" + name + "}" in path:
        strings = [each for each in STRINGS if each]  # nothing there is another path
    else:
        strings = STRINGS
    requests = [
        request(service, tenant, path, method, operation, named={name: text}) for text in strings
    ]
    answers = service.converse(requests)
    wrong = [
        (text, answer)
        for text, answer in zip(strings, answers, strict=True)
        # Which databases serve is all that is asked for there.
        if not refuses_decently(answer) and (answer.status, path) != (200, "/v1/admin/plugins")
    ]
    assert not wrong, wrong


BODIES = [
    (path, method, at)
    for path, method, operation in operations()
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items()
    if media_type in JSON_TYPES
    for at in texts(content["schema"])
]


def made(service: Service, tenant: str, path: str) -> Answer:
    """A new object or, for paths of keys, a new key."""
    if "/api-keys" not in path:
        return service.ask("PUT", f"/v1/objects/by-key/ns/{tenant}/k", body=b"hello")
    asked = {"name": "k", "tenants": [tenant], "scopes": ["objects:read"]}
    json_type = "Content-Type: application/json"
    return service.ask("POST", "/v1/api-keys", json_type, body=json.dumps(asked).encode())


@pytest.mark.parametrize("case", BODIES, ids=lambda case: f"{case[1]} {case[0]} {case[2]}")
def test_bodies(service: Service, tenant: str, case: tuple[str, str, tuple[Any, ...]]) -> None:
    """In every text that a JSON body may have, and as the name of a member beside it."""
    path, method, at = case
    operation = DOCUMENT["paths"][path][method.lower()]
    (content,) = operation["requestBody"]["content"].values()
    example = copy.deepcopy(content["example"])
    if "tenant_id" in example:
        example["tenant_id"] = tenant
    named: dict[str, Any] = {}
    if "{id}" in path:
        named["id"] = made(service, tenant, path).json["id"]
    bodies = [replaced(example, at, text) for text in [*STRINGS, "\ud800", "a\udfff"]]
    if at[-1] != 0:
        bodies += [replaced(example, (*at[:-1], text), "1") for text in STRINGS]
    requests = [
        request(service, tenant, path, method, operation, named=named, body=body) for body in bodies
    ]
    wrong = [
        (body, answer)
        for body, answer in zip(bodies, service.converse(requests), strict=True)
        if not refuses_decently(answer)
    ]
    assert not wrong, wrong


def test_what_is_stored_is_what_was_sent(service: Service, tenant: str) -> None:
    """Metadata and keys come back as they were, and search takes them for what they are."""
    for text in STRINGS:
        if not text or "\x00" in text or len(text) > 60:
            continue
        stored = service.ask(
            "POST",
            f"/v1/objects?namespace=ns&tenant_id={tenant}",
            f"X-Object-Metadata: {json.dumps({'a': text})}",
            body=b"hello",
        )
        assert stored.status == 201, (text, stored)
        assert stored.json["metadata"] == {"a": text}
        asked = {"tenant_id": tenant, "metadata": {"a": text}}
        found = service.ask(
            "POST",
            "/v1/objects/search",
            "Content-Type: application/json",
            body=json.dumps(asked).encode(),
        )
        assert [each["id"] for each in found.json["objects"]] == [stored.json["id"]], text


def test_wildcards_are_no_wildcards(service: Service, tenant: str) -> None:
    """Prefixes and parts of keys are compared as they are."""
    for key in ("plain", "per%25cent", "under_score", "back%5Cslash", "star*", "br%5Ba%5D"):
        answer = service.ask("PUT", f"/v1/objects/by-key/ns/{tenant}/{key}", body=b"hello")
        assert answer.status == 201

    def found(**filters: str) -> list[str]:
        answer = service.ask(
            "POST",
            "/v1/objects/search",
            "Content-Type: application/json",
            body=json.dumps({"tenant_id": tenant, **filters}).encode(),
        )
        return [each["key"] for each in answer.json["objects"]]

    assert found(key_contains="%") == found(key_prefix="per%") == ["per%cent"]
    assert found(key_contains="_") == ["under_score"]
    assert found(key_contains="\\") == ["back\\slash"]
    assert found(key_contains="*") == ["star*"]
    assert found(key_contains="[a]") == ["br[a]"]
    assert found(key_prefix="%") == found(key_prefix="_") == found(key_contains="%%") == []


def test_everything_is_still_there(service: Service, tenant: str) -> None:
    """After all of that, the service works, and readiness says so."""
    answer = service.ask("PUT", f"/v1/objects/by-key/ns/{tenant}/k", body=b"hello")
    assert answer.status == 201
    assert service.ask("GET", f"/v1/objects/by-key/ns/{tenant}/k").body == b"hello"
    assert service.ask("GET", "/health/ready", key=None).json["status"] == "ready"
