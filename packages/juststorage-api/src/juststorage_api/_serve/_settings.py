"""From the command line to a checked configuration, with the embedded default's own key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from juststorage.cli import ConfigSource
from juststorage.config import Config
from juststorage.runtime import check_selection
from juststorage_api._serve._admin_key import ensure_admin_key

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What a server was told. Nothing is on disk yet.

    Args:
        config: The configuration, without the key of `with_admin_key`.
    """

    config: Config
    _source: ConfigSource
    _overrides: Mapping[str, Any]

    @classmethod
    def load(
        cls, source: ConfigSource, server: Mapping[str, Any], others: Mapping[str, Any]
    ) -> Self:
        """Read the configuration.

        Args:
            source: What the command line said about it.
            server: Options of the section `[server]`; None where the command line has none.
            others: What it says besides, in the shape of the file.

        Raises:
            Misconfigured: A setting is wrong.
        """
        overrides: dict[str, Any] = {
            **others,
            "server": {name: value for name, value in server.items() if value is not None},
        }
        return cls(source.load(overrides), source, overrides)

    def with_admin_key(self) -> tuple[Config, Path | None]:
        """See that the embedded default has an admin key, which makes its data directory.

        To be called once nothing else can be refused: a start that fails leaves no directory.

        Returns:
            The configuration, and the file of the admin key; None where an operator chose the keys.

        Raises:
            Misconfigured: A setting is wrong, or the data directory cannot be written.
        """
        if not _needs_admin_key(self.config):
            return self.config, None
        check_selection(self.config)
        admin_key = ensure_admin_key(self.config.data_dir.absolute())
        by_file = {"api_key": {"bootstrap_key": {"file": str(admin_key)}}}
        return self._source.load({**self._overrides, "auth": by_file}), admin_key


def _needs_admin_key(config: Config) -> bool:
    return (
        config.embedded_default
        and "api_key" in config.auth.chain
        and "bootstrap_key" not in config.auth.table("api_key")
    )
