"""Tables and words that the pages of the reference share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["bounds", "cell", "code", "head", "table", "type_words"]

_BOUNDS = (
    ("", "minimum", "maximum"),
    ("", "exclusiveMinimum", "exclusiveMaximum"),
    (" characters", "minLength", "maxLength"),
    (" members", "minItems", "maxItems"),
)


def head(title: str, *, written_by: str) -> str:
    """The first lines of a page."""
    note = (
        f"<!-- Written by scripts/reference-pages from {written_by}: change that, then run it. -->"
    )
    return f"{note}\n# {title}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown."""
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Text as it may stand in a table: one line, with bars that are no borders."""
    return " ".join(text.split()).replace("|", "&#124;")


def code(value: Any) -> str:
    """A value as JSON has it, set as code."""
    return f"`{json.dumps(value, ensure_ascii=False)}`"


def type_words(schema: dict[str, Any]) -> str:
    """The type that a JSON Schema describes, in words."""
    if schema.get("writeOnly") or any(each.get("writeOnly") for each in schema.get("anyOf", [])):
        return "secret"
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "const" in schema:
        return code(schema["const"])
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"] if each is not None)
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            words = [type_words(each) for each in schema[choice]]
            return " or ".join(dict.fromkeys(word for word in words if word != "null"))
    kind = schema.get("type", "any")
    if isinstance(kind, list):
        return " or ".join(each for each in kind if each != "null")
    if kind == "array":
        return f"list of {type_words(schema.get('items', {}))}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"table of {type_words(schema['additionalProperties'])}"
    return str(schema.get("format", kind))


def bounds(schema: dict[str, Any]) -> str:
    """The limits of a value, in words; empty where it has none."""
    found = []
    for each in [schema, *schema.get("anyOf", [])]:
        for what, low, high in _BOUNDS:
            beyond = "more than" if low.startswith("exclusive") else "at least"
            within = "less than" if high.startswith("exclusive") else "at most"
            if low in each and high in each:
                found.append(f"{each[low]:,} to {each[high]:,}{what}")
            elif low in each:
                found.append(f"{beyond} {each[low]:,}{what}")
            elif high in each:
                found.append(f"{within} {each[high]:,}{what}")
    return ", ".join(found)
