"""Health, the OpenAPI document and the reference."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator


def test_liveness(api: Any) -> None:
    """Open to everyone, and short."""
    answer = api.call("GET", "/health", key=None)
    assert answer.status == 200
    assert answer.json == {"status": "ok"}


def test_readiness_names_its_parts(api: Any) -> None:
    """Each backend is there with its state."""
    answer = api.call("GET", "/health/ready", key=None)
    assert answer.status == 200
    assert answer.json["status"] == "ready"
    parts = {part["name"]: part for part in answer.json["parts"]}
    assert {"metadata", "blobs.hot", "blobs.cold"} <= set(parts)
    assert all(part["ok"] for part in parts.values())


@pytest.mark.parametrize(
    "path",
    ["/health", "/health/ready", "/schema", "/schema/openapi.json", "/schema/reference.css"],
)
def test_head_answers_like_get(api: Any, path: str) -> None:
    """Probes that ask with HEAD get GET's status and fields, and no body."""
    get, head = (api.call(method, path, key=None) for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    # The latencies of readiness differ in length.
    own = {"x-request-id", "date"} | ({"content-length"} if path == "/health/ready" else set())
    assert {name: value for name, value in head.headers.items() if name not in own} == {
        name: value for name, value in get.headers.items() if name not in own
    }
    assert int(head.headers["content-length"]) > 0


def test_head_refuses_like_get(api: Any) -> None:
    """A typo in a probe's parameters is heard; other methods are told which ones there are."""
    assert api.call("HEAD", "/health?verbose=1", key=None).status == 400
    answer = api.call("POST", "/health/ready", key=None)
    assert (answer.status, answer.code) == (405, "method_not_allowed")
    assert {"GET", "HEAD"} <= set(answer.headers["allow"].split(", "))


def test_the_document_is_valid(api: Any) -> None:
    """OpenAPI 3.1, by a validator that is not ours."""
    answer = api.call("GET", "/schema/openapi.json", key=None)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["openapi"].startswith("3.1.")
    OpenAPIV31SpecValidator(answer.json).validate()


def test_the_reference_needs_nobody_else(api: Any) -> None:
    """Pages and style name no other host, have no script, and forbid both."""
    page = api.call("GET", "/schema", key=None)
    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith(
        "default-src 'none'; style-src 'self'"
    )
    text = page.body.decode()
    assert "<script" not in text
    assert " style=" not in text
    loaded = re.findall(r'(?:src|href)="([^"#][^"]*)"', text)
    assert loaded
    for url in loaded:
        assert url.startswith("/schema/")
        target = api.call("GET", url, key=None)
        assert target.status == 200
        assert not re.search(rb"url\(|@import|//[a-z]", target.body) or url.endswith(".json")
    assert not re.search(r"(?:https?:)?//[a-z]", re.sub(r"<pre>.*?</pre>", "", text, flags=re.S))


def test_the_reference_has_every_operation(api: Any) -> None:
    """Each call of the document has its place on the page."""
    document = api.call("GET", "/schema/openapi.json", key=None).json
    text = api.call("GET", "/schema", key=None).body.decode()
    ids = [
        operation["operationId"]
        for item in document["paths"].values()
        for operation in item.values()
        if isinstance(operation, dict)
    ]
    assert len(ids) == len(set(ids)) >= 17
    for name in ids:
        assert f'<article id="{name}">' in text
