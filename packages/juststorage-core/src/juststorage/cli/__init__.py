"""The command line, and what plugins need to add to it."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from juststorage.cli._main import main

if TYPE_CHECKING:
    from juststorage.cli._json import (
        fail,
        goes_on,
        json_option,
        print_json,
        print_json_line,
        so_far,
    )
    from juststorage.cli._options import ConfigSource, config_options
    from juststorage.cli._progress import Progress, readable_bytes

__all__ = [
    "ConfigSource",
    "Progress",
    "config_options",
    "fail",
    "goes_on",
    "json_option",
    "main",
    "print_json",
    "print_json_line",
    "readable_bytes",
    "so_far",
]

_MODULES: Mapping[str, str] = {
    "ConfigSource": "_options",
    "config_options": "_options",
    "Progress": "_progress",
    "readable_bytes": "_progress",
    **dict.fromkeys(
        ("fail", "goes_on", "json_option", "print_json", "print_json_line", "so_far"), "_json"
    ),
}


def __getattr__(name: str) -> Any:
    # Late, because some import the configuration, and `juststorage --version` needs none.
    if name in _MODULES:
        return getattr(importlib.import_module(f"juststorage.cli.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
