"""405: every path tells every other method which ones it answers to."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage_api._openapi.document import openapi_document

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW", "get")
EXAMPLES = {
    "{namespace}": "ns",
    "{tenant_id}": "t1",
    "{key}": "a/b",
    "{id}": "01a21098-f290-7cc4-9518-d64de021c446",
}


def paths() -> dict[str, set[str]]:
    """Every path of the document, filled, with its methods."""
    found = {}
    for path, item in openapi_document()["paths"].items():
        filled = path
        for name, example in EXAMPLES.items():
            filled = filled.replace(name, example)
        found[filled] = {name.upper() for name in item} & set(METHODS)
    return found


PATHS = paths() | {
    path: {"GET", "HEAD"} for path in ("/schema", "/schema/openapi.json", "/schema/reference.css")
}


@pytest.mark.parametrize("path", PATHS)
def test_other_methods_are_told_which_ones_there_are(api: Any, path: str) -> None:
    """405 with Allow, whose members are those of the document, each once, whatever the body."""
    open_paths = ("/health", "/metrics")
    known = PATHS[path] | ({"HEAD"} if path.startswith(open_paths) else set())
    assert known
    for method in METHODS:
        if method in known:
            continue
        answer = api.call(method, path, body=b"x" if method in {"POST", "PUT"} else None)
        assert answer.status == 405, (method, answer)
        if method != "HEAD":
            assert answer.code == "method_not_allowed"
        allowed = [each.strip() for each in answer.headers["allow"].split(",")]
        assert sorted(allowed) == sorted(known), method


@pytest.mark.parametrize("path", ["/v1/objects/by-key/", "/v1/objects/by-key/ns/t", "/v1/nothing"])
def test_what_is_no_path_has_no_methods(api: Any, path: str) -> None:
    """404 for every method."""
    for method in METHODS:
        assert api.call(method, path).status == 404, method
