"""The document's examples, which clients copy: each is what the service really says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker  # type: ignore[import-untyped]

from juststorage.domain import ContentHash, ObjectId
from juststorage_api._openapi.document import openapi_document

DOCUMENT = openapi_document()
METHODS = ("get", "head", "post", "put", "patch", "delete")

Found = tuple[str, str, dict[str, Any], Any]
"""Operation, path, schema, example."""


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its path."""
    for path, item in DOCUMENT["paths"].items():
        for method in METHODS:
            if method in item:
                yield path, item[method]


def bodies() -> Iterator[Found]:
    """Every example of a JSON body, asked or answered."""
    for path, operation in operations():
        places = [operation.get("requestBody", {}), *operation["responses"].values()]
        for place in places:
            for media_type, content in (place.get("content") or {}).items():
                if not re.fullmatch(r"application/(\w[\w.-]*\+)?json", media_type):
                    continue
                examples = [each["value"] for each in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                for example in examples:
                    yield operation["operationId"], path, content["schema"], example


def problems() -> list[Found]:
    """Every example of a problem document."""
    return [found for found in bodies() if found[2] == {"$ref": "#/components/schemas/Problem"}]


def valid(schema: dict[str, Any], value: Any) -> list[str]:
    """What a validator that is not ours finds wrong."""
    whole = {**schema, "components": DOCUMENT["components"]}
    return [
        error.message
        for error in Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    ]


def test_bodies_fit_their_schemas() -> None:
    """An example that the schema refuses teaches clients to be wrong."""
    found = list(bodies())
    assert len(found) > 50
    wrong = [
        (operation, errors)
        for operation, _, schema, example in found
        if (errors := valid(schema, example))
    ]
    assert wrong == []


def test_parameters_fit_their_schemas() -> None:
    """Each parameter has an example that it would take."""
    for _, operation in operations():
        for parameter in operation["parameters"]:
            assert valid(parameter["schema"], parameter["example"]) == [], parameter["name"]


def test_a_problem_names_the_path_that_was_asked() -> None:
    """`instance` is a path that a client could send, of this very operation."""
    assert problems()
    for operation, path, _, example in problems():
        pattern = re.sub(r"\\{\w+\\}", "[^?{}]+", re.escape(path))
        assert re.fullmatch(pattern, example["instance"]), operation


def test_an_object_says_what_its_values_look_like() -> None:
    """Generated clients check ids, hashes and times by the schema: it has their form."""
    properties = DOCUMENT["components"]["schemas"]["ObjectDto"]["properties"]
    assert properties["id"]["format"] == "uuid"
    assert {properties[name]["format"] for name in ("created_at", "updated_at")} == {"date-time"}
    for _ in range(3):
        assert re.search(properties["id"]["pattern"], ObjectId.new())
    pattern = properties["content_hash"]["pattern"]
    for text in (f"sha256:{'0a' * 32}", f"blake3:{'0a' * 32}", f"sha512:{'ff' * 64}"):
        assert re.search(pattern, ContentHash(text))
    for text in (f"sha256:{'0a' * 31}", f"sha256:{'0A' * 32}", "0a" * 32, f"sha256:{'0a' * 33}"):
        assert not re.search(pattern, text)


@pytest.mark.parametrize("schema", ["ObjectPage", "ApiKeyPage"])
def test_a_page_shows_where_to_go_on(schema: str) -> None:
    """The example of a page has the cursor that the next call sends."""
    reference = {"$ref": f"#/components/schemas/{schema}"}
    pages = [example for _, _, used, example in bodies() if used == reference]
    assert pages
    assert all(isinstance(page["next_cursor"], str) for page in pages)


def test_an_unknown_caller_is_told_every_scheme() -> None:
    """401 names the schemes, those of tokens as well."""
    for _, operation in operations():
        if answer := operation["responses"].get("401"):
            challenge = answer["headers"]["WWW-Authenticate"]["example"]
            assert {"ApiKey", "Bearer"} <= set(re.findall(r"(\w+) realm=", challenge))


def test_an_upload_says_where_the_object_is() -> None:
    """Location is the plain one, and its words say when a tenant is added."""
    for path, operation in operations():
        for status in ("200", "201"):
            headers = operation["responses"].get(status, {}).get("headers", {})
            if "Location" in headers and path.startswith("/v1/objects"):
                assert re.fullmatch(r"/v1/objects/[0-9a-f-]{36}", headers["Location"]["example"])
                assert "tenant_id" in headers["Location"]["description"]
