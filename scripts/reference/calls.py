"""The page about every call, from the OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tables import bounds, cell, head, table, type_words

from juststorage_api._openapi.curl import curl_example
from juststorage_api._openapi.document import openapi_document

__all__ = ["page"]

_MORE = """\
The same for programs is [openapi.json](../openapi.json), OpenAPI 3.1; a running service answers
with it at `/schema/openapi.json`, and shows it to people at `/schema`. In the examples, `$URL` is
the address of the service, such as `http://127.0.0.1:8080`, and `$KEY` an API key."""
_EVERYWHERE = ("X-Request-Id",)
_PROBLEM = "application/problem+json"


def page() -> str:
    """The whole page."""
    document = openapi_document()
    parts = [
        head("HTTP interface", written_by="the OpenAPI document"),
        document["info"]["description"].strip(),
        _MORE,
    ]
    for tag in document["tags"]:
        parts += [f"## {tag['name']}", _sentence(tag["description"])]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation.get("tags", []):
                    parts += _operation(method, path, operation)
    parts += ["## Problems", _problems(document), "## Shapes", *_shapes(document)]
    return "\n\n".join(parts) + "\n"


def _operation(method: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    yield f"### {operation['summary']}{_where(path)}"
    yield f"```http\n{method.upper()} {path}\n```"
    yield operation.get("description", "").strip()
    if operation.get("security") == []:
        yield "Open to everyone."
    parameters = [each for each in operation["parameters"] if each["name"] not in _EVERYWHERE]
    if parameters:
        yield table(
            ["parameter", "in", "type", "meaning"], [_parameter(each) for each in parameters]
        )
    if body := operation.get("requestBody"):
        [(media, content)] = body["content"].items()
        needed = "" if body.get("required") else ", may be left out"
        yield f"Body: `{media}`, {type_words(content.get('schema', {}))}{needed}."
    yield table(["status", "answer"], _answers(operation["responses"]))
    yield f"```sh\n{curl_example(method, path, operation)}\n```"


def _where(path: str) -> str:
    """What tells calls of one name apart."""
    return " by key" if "/by-key/" in path else ""


def _parameter(each: dict[str, Any]) -> list[str]:
    default = each["schema"].get("default")
    meaning = cell(each.get("description", ""))
    if each.get("required") and each["in"] != "path":
        meaning += ". **Required**"
    if default is not None:
        meaning += f". Default: `{json.dumps(default)}`"
    return [f"`{each['name']}`", each["in"], cell(_member_type(each["schema"])), meaning]


def _answers(responses: dict[str, Any]) -> Iterator[list[str]]:
    for status, response in responses.items():
        if "$ref" in response or _PROBLEM in response.get("content", {}):
            codes = re.findall(r"`(\w+)`:", response.get("description", ""))
            linked = ", ".join(f"[`{each}`](#problems)" for each in codes)
            if linked:
                yield [status, linked]
            continue
        words = cell(response.get("description", ""))
        shapes = {
            type_words(content["schema"])
            for content in response.get("content", {}).values()
            if "$ref" in content.get("schema", {})
        }
        fields = [f"`{name}`" for name in response.get("headers", {}) if name not in _EVERYWHERE]
        words += "".join(f": {shape}" for shape in sorted(shapes))
        yield [status, words + (f". Fields: {', '.join(fields)}" if fields else "")]


def _problems(document: dict[str, Any]) -> str:
    """Every code, with its status and title."""
    found: dict[str, tuple[str, str]] = {}
    answers = [
        (status, response)
        for methods in document["paths"].values()
        for operation in methods.values()
        for status, response in operation["responses"].items()
    ]
    answers += [("405", each) for each in document["components"]["responses"].values()]
    for status, response in answers:
        for example in response.get("content", {}).get(_PROBLEM, {}).get("examples", {}).values():
            value = example["value"]
            found[value["code"]] = (status, value["title"])
    rows = sorted((status, code, title) for code, (status, title) in found.items())
    return "Programs decide by `code`, which does not change.\n\n" + table(
        ["status", "code", "meaning"],
        [[status, f"`{code}`", cell(title)] for status, code, title in rows],
    )


def _shapes(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f"### {name}"
        if about := schema.get("description"):
            yield about.strip()
        if "properties" in schema:
            required = schema.get("required", [])
            yield table(
                ["member", "type", "meaning"],
                [
                    [
                        f"`{member}`",
                        cell(_member_type(each)),
                        cell(each.get("description", ""))
                        + ("" if member in required else " (optional)"),
                    ]
                    for member, each in schema["properties"].items()
                ],
            )
        else:
            yield f"One of {type_words(schema)}." if "enum" in schema else type_words(schema)


def _member_type(schema: dict[str, Any]) -> str:
    limits = bounds(schema)
    return type_words(schema) + (f", {limits}" if limits else "")


def _sentence(text: str) -> str:
    return text if text.endswith(".") else f"{text}."
