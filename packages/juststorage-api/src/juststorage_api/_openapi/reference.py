"""The reference: the document as one page of HTML.

Rendered here, because every ready-made viewer is a megabyte of script that wants a looser content
security policy than this service sends. Nothing on the page needs a script.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

from juststorage_api._openapi.curl import curl_example

__all__ = ["reference_page", "reference_style"]

_METHODS = ("get", "head", "post", "put", "patch", "delete", "options")
_CODE = re.compile(r"`([^`]+)`")


@cache
def reference_style() -> bytes:
    """The style sheet that the page asks for."""
    return files("juststorage_api").joinpath("_openapi", "reference.css").read_bytes()


def reference_page(document: dict[str, Any]) -> str:
    """The page."""
    info = document["info"]
    groups = _by_tag(document)
    return "".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])} reference</title>",
            '<link rel="stylesheet" href="/schema/reference.css"></head><body>',
            *_navigation(info, groups),
            "<main><header>",
            f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>",
            _prose(info["description"]),
            '<p>The same for programs: <a href="/schema/openapi.json">/schema/openapi.json</a>.'
            "</p></header>",
            *_security(document),
            *(part for tag, calls in groups for part in _group(tag, calls, document)),
            *_schemas(document),
            "</main></body></html>\n",
        ]
    )


Call = tuple[str, str, dict[str, Any]]


def _by_tag(document: dict[str, Any]) -> list[tuple[dict[str, Any], list[Call]]]:
    groups: list[tuple[dict[str, Any], list[Call]]] = [(tag, []) for tag in document["tags"]]
    for path, item in document["paths"].items():
        for method in _METHODS:
            if method in item:
                for tag, calls in groups:
                    if tag["name"] in item[method]["tags"]:
                        calls.append((method, path, item[method]))
    return groups


def _navigation(
    info: dict[str, Any], groups: list[tuple[dict[str, Any], list[Call]]]
) -> Iterator[str]:
    yield f"<nav><strong>{escape(info['title'])}</strong>"
    for tag, calls in groups:
        yield f"<h2>{escape(tag['name'])}</h2><ul>"
        for method, _, operation in calls:
            yield (
                f'<li><a href="#{escape(operation["operationId"])}">{_badge(method)} '
                f"{escape(operation['summary'])}</a></li>"
            )
        yield "</ul>"
    yield '<h2>More</h2><ul><li><a href="#authentication">Authentication</a></li>'
    yield '<li><a href="#schemas">Schemas</a></li></ul></nav>'


def _security(document: dict[str, Any]) -> Iterator[str]:
    yield '<section id="authentication"><h2>Authentication</h2><dl>'
    for name, scheme in document["components"]["securitySchemes"].items():
        where = scheme.get("name") or f"Authorization: {scheme['scheme'].title()} ..."
        yield f"<dt><code>{escape(where)}</code> ({escape(name)})</dt>"
        yield f"<dd>{_inline(scheme['description'])}</dd>"
    yield "</dl></section>"


def _group(tag: dict[str, Any], calls: list[Call], document: dict[str, Any]) -> Iterator[str]:
    yield f"<section><h2>{escape(tag['name'])}</h2>{_prose(tag['description'])}"
    for method, path, operation in calls:
        yield f'<article id="{escape(operation["operationId"])}">'
        yield f"<h3>{escape(operation['summary'])}</h3>"
        yield f'<p class="call">{_badge(method)} <code>{_path(path)}</code></p>'
        yield _prose(operation.get("description", ""))
        if operation.get("security") == []:
            yield '<p class="note">Open: needs no credential.</p>'
        yield from _parameters(operation)
        yield f"<h4>Example</h4><pre>{escape(curl_example(method, path, operation))}</pre>"
        yield from _responses(operation["responses"], document)
        yield "</article>"
    yield "</section>"


def _parameters(operation: dict[str, Any]) -> Iterator[str]:
    parameters = operation.get("parameters", [])
    if parameters:
        yield "<h4>Parameters</h4><table><tbody>"
        for parameter in parameters:
            needed = ' <b class="needed">required</b>' if parameter.get("required") else ""
            yield (
                f"<tr><th><code>{escape(parameter['name'])}</code>"
                f"<small>{escape(parameter['in'])}</small>{needed}</th>"
                f"<td>{_inline(parameter.get('description', ''))}"
                f"{_constraints(parameter.get('schema', {}))}"
                f"{_example(parameter)}</td></tr>"
            )
        yield "</tbody></table>"
    body = operation.get("requestBody")
    if body:
        types = ", ".join(body["content"])
        yield f"<h4>Body <small>{escape(types)}</small></h4>{_prose(body.get('description', ''))}"
        for content in body["content"].values():
            link = _schema_link(content)
            if link:
                yield f"<p>{link}</p>"
                yield from (f"<pre>{escape(_json(each))}</pre>" for each in _examples(content))


def _responses(responses: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    yield "<h4>Answers</h4>"
    for status in sorted(responses):
        response = responses[status]
        yield f'<details><summary><b class="s{status[0]}">{status}</b> '
        yield f"{_inline(response['description'])}</summary>"
        headers = response.get("headers", {})
        if headers:
            yield "<table><tbody>"
            for name, header in headers.items():
                yield (
                    f"<tr><th><code>{escape(name)}</code></th>"
                    f"<td>{_inline(header.get('description', ''))}{_example(header)}</td></tr>"
                )
            yield "</tbody></table>"
        for media_type, content in response.get("content", {}).items():
            yield f"<p><small>{escape(media_type)}</small> {_schema_link(content)}</p>"
            for value in _examples(content):
                yield f"<pre>{escape(_json(value))}</pre>"
        yield "</details>"


def _schemas(document: dict[str, Any]) -> Iterator[str]:
    yield '<section id="schemas"><h2>Schemas</h2>'
    for name, schema in sorted(document["components"]["schemas"].items()):
        yield f'<article id="schema-{escape(name)}"><h3>{escape(name)}</h3>'
        yield _prose(schema.get("description", ""))
        yield f"<details><summary>JSON Schema</summary><pre>{escape(_json(schema))}</pre></details>"
        yield "</article>"
    yield "</section>"


def _examples(content: dict[str, Any]) -> Iterator[Any]:
    if "example" in content:
        yield content["example"]
    for example in content.get("examples", {}).values():
        yield example["value"]


def _schema_link(content: dict[str, Any]) -> str:
    reference = content.get("schema", {}).get("$ref")
    if reference is None:
        return ""
    name = escape(reference.rsplit("/", 1)[1])
    return f'<a href="#schema-{name}">{name}</a>'


def _example(described: dict[str, Any]) -> str:
    example = described.get("example")
    return "" if example is None else f"<br><code>{escape(str(example))}</code>"


def _constraints(schema: dict[str, Any]) -> str:
    told = [
        f"{word} <code>{escape(_brief(schema[name]))}</code>"
        for name, word in (
            ("enum", "one of"),
            ("default", "default"),
            ("minimum", "from"),
            ("maximum", "to"),
            ("pattern", "pattern"),
        )
        if schema.get(name) is not None
    ]
    return f"<br><small>{', '.join(told)}</small>" if told else ""


def _brief(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _json(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _badge(method: str) -> str:
    return f'<span class="method {method}">{method.upper()}</span>'


def _path(path: str) -> str:
    return re.sub(r"\{[^}]+\}", lambda match: f"<var>{match[0]}</var>", escape(path))


def _prose(text: str) -> str:
    paragraphs = (" ".join(part.split()) for part in text.split("\n\n"))
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in paragraphs if paragraph)


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text))
