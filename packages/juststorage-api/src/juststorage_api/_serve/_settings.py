"""From the command line to a checked configuration, with the embedded default's own key."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from juststorage.cli import ConfigSource
from juststorage.config import Config
from juststorage_api._serve._admin_key import ensure_admin_key

__all__ = ["load"]


def load(source: ConfigSource, server: Mapping[str, Any]) -> tuple[Config, Path | None]:
    """Read the configuration, and see that the embedded default has an admin key.

    Args:
        source: What the command line said about it.
        server: Options of the section `[server]`; None where the command line has none.

    Returns:
        The configuration, and the file of the admin key; None where an operator chose the keys.

    Raises:
        Misconfigured: A setting is wrong, or the data directory cannot be written.
    """
    overrides: dict[str, Any] = {
        "server": {name: value for name, value in server.items() if value is not None}
    }
    config = source.load(overrides)
    if not _needs_admin_key(config):
        return config, None
    admin_key = ensure_admin_key(config.data_dir.absolute())
    overrides["auth"] = {"api_key": {"bootstrap_key": {"file": str(admin_key)}}}
    return source.load(overrides), admin_key


def _needs_admin_key(config: Config) -> bool:
    return (
        config.embedded_default
        and "api_key" in config.auth.chain
        and "bootstrap_key" not in config.auth.table("api_key")
    )
