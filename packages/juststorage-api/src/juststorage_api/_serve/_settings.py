"""From the command line to a checked configuration, with the embedded default's own key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from juststorage.config import Config
from juststorage_api._serve._admin_key import ADMIN_KEY_FILE, ensure_admin_key

__all__ = ["load"]


def load(
    file: Path | None,
    *,
    host: str | None,
    port: int | None,
    workers: int | None,
    data_dir: Path | None,
) -> tuple[Config, Path | None]:
    """Read the configuration, and see that the embedded default has an admin key.

    Returns:
        The configuration, and the file of the admin key; None where an operator chose the keys.

    Raises:
        Misconfigured: A setting is wrong, or the data directory cannot be written.
    """
    server = {"host": host, "port": port, "workers": workers}
    overrides: dict[str, Any] = {
        "server": {name: value for name, value in server.items() if value is not None}
    }
    if data_dir is not None:
        overrides["data_dir"] = str(data_dir)
    config = Config.load(file, overrides=overrides)
    if not _needs_admin_key(config):
        return config, None
    admin_key = config.data_dir / ADMIN_KEY_FILE
    ensure_admin_key(config.data_dir)
    overrides["auth"] = {"api_key": {"bootstrap_key": {"file": str(admin_key)}}}
    return Config.load(file, overrides=overrides), admin_key


def _needs_admin_key(config: Config) -> bool:
    return (
        config.embedded_default
        and "api_key" in config.auth.chain
        and "bootstrap_key" not in config.auth.table("api_key")
    )
