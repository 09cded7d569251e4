"""Make the schemas beside this file from the custom resource definitions of their projects.

    python tests/deploy/schemas/make.py DEFINITION.yaml...

What is kept is the schema of each kind's version v1, without its descriptions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

VERSION = "v1"


def without_descriptions(schema: Any, *, names: bool = False) -> Any:
    """The same, without what is only for people; `names` says that the members are properties."""
    if isinstance(schema, list):
        return [without_descriptions(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: without_descriptions(each, names=name == "properties" and not names)
        for name, each in schema.items()
        if names or name != "description"
    }


def main() -> None:
    """Write a file for each definition."""
    for path in sys.argv[1:]:
        definition = yaml.safe_load(Path(path).read_text())["spec"]
        [schema] = [
            each["schema"]["openAPIV3Schema"]
            for each in definition["versions"]
            if each["name"] == VERSION
        ]
        kind = definition["names"]["kind"]
        text = json.dumps(without_descriptions(schema), indent=1, sort_keys=True)
        Path(__file__).with_name(f"{kind}.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
