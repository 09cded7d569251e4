"""Health, the OpenAPI document and the reference."""

from __future__ import annotations

import re
from typing import Any

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
