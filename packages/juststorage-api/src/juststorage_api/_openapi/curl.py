"""A call as a command that can be pasted into a shell."""

from __future__ import annotations

import json
import re
import shlex
from typing import Any

__all__ = ["curl_example"]

_SHOWN_HEADERS = frozenset({"Content-Type", "X-Object-Metadata"})
"""Of the optional headers those that most calls want; the rest is in the table above."""


def curl_example(method: str, path: str, operation: dict[str, Any]) -> str:
    """A curl command for an operation of the document, with the examples of its parameters."""
    parameters = operation.get("parameters", [])
    examples = {(each["in"], each["name"]): each.get("example") for each in parameters}
    required = {each["name"] for each in parameters if each.get("required")}
    filled = re.sub(r"\{([^}]+)\}", lambda match: str(_value(examples, match[1])), path)
    query = "&".join(
        f"{name}={value}"
        for (where, name), value in examples.items()
        if where == "query" and value is not None and (name in required or name == "tenant_id")
    )
    command = ["curl", "-i"]
    if method == "head":
        command += ["-I"]
    elif method != "get":
        command += ["-X", method.upper()]
    if operation.get("security") != []:
        command += ["-H", '"X-API-Key: $KEY"']
    for each in parameters:
        if each["in"] == "header" and each.get("required"):
            command += ["-H", shlex.quote(f"{each['name']}: {each['example']}")]
    if "requestBody" in operation:
        ((media_type, content),) = operation["requestBody"]["content"].items()
        if media_type.endswith("json"):
            command += ["-H", shlex.quote(f"Content-Type: {media_type}")]
            command += ["-d", shlex.quote(json.dumps(content["example"]))]
        else:
            # Where the type is the object's own it is a parameter.
            shown = {("header", "Content-Type"): media_type, **examples}
            for name in sorted(_SHOWN_HEADERS):
                if ("header", name) in shown:
                    command += ["-H", shlex.quote(f"{name}: {shown['header', name]}")]
            command += ["--data-binary", "@file"]
    url = f"$URL{filled}" + (f"?{query}" if query else "")
    return " ".join([*command, f'"{url}"'])


def _value(examples: dict[tuple[str, str], Any], name: str) -> Any:
    value = examples.get(("path", name))
    return f"{{{name}}}" if value is None else value
