"""Manifests of custom resources, checked as a cluster that has their definitions does."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]

__all__ = ["CUSTOM", "problems"]

_SCHEMAS = Path(__file__).with_name("schemas")

CUSTOM = {path.stem for path in _SCHEMAS.glob("*.json")}
"""The kinds whose definitions are here."""


@functools.cache
def _validator(kind: str) -> Any:
    schema = _closed(json.loads((_SCHEMAS / f"{kind}.json").read_text()))
    return jsonschema.Draft202012Validator(schema)


def _closed(schema: Any) -> Any:
    """The same, with members refused that are not named: a cluster drops them without a word."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {
        name: {inner: _closed(each) for inner, each in value.items()}
        if name == "properties"
        else _closed(value)
        for name, value in schema.items()
    }
    is_open = "x-kubernetes-preserve-unknown-fields" in schema or "additionalProperties" in schema
    if "properties" in schema and "type" in schema and not is_open:
        closed["additionalProperties"] = False
    return closed


def problems(manifest: dict[str, Any]) -> list[str]:
    """What its definition has against it. Rules in CEL are not evaluated."""
    return [
        f"{error.json_path}: {error.message}"
        for error in _validator(manifest["kind"]).iter_errors(manifest)
    ]
