"""The command line, and what plugins need to add to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from juststorage.cli._main import main

if TYPE_CHECKING:
    from juststorage.cli._options import ConfigSource, config_options

__all__ = ["ConfigSource", "config_options", "main"]


def __getattr__(name: str) -> Any:
    # Late, because they import the configuration, and `juststorage --version` needs none.
    if name in {"ConfigSource", "config_options"}:
        from juststorage.cli import _options

        return getattr(_options, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
