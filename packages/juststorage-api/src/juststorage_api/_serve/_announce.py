"""The first lines of a server's log: what it runs on, and why."""

from __future__ import annotations

import logging
from pathlib import Path

from juststorage.config import Config
from juststorage.runtime import Runtime, Selected
from juststorage_api._serve._address import HeldAddress

__all__ = ["announce"]

_log = logging.getLogger("juststorage.serve")


def announce(runtime: Runtime, address: HeldAddress, admin_key: Path | None) -> None:
    """Say which backends serve and why, where data and admin key are, and where to connect."""
    config = runtime.config
    chosen = " ".join(_words(selected) for selected in runtime.selected)
    _log.info("%s: %s", _reason(config), chosen)
    if config.embedded_default:
        _log.info("data directory: %s", config.data_dir.absolute())
    if admin_key is not None:
        _log.info("admin key: in the file %s", admin_key.absolute())
    if address.ip not in ("127.0.0.1", "::1") and config.embedded_default:
        _log.warning("listening beyond this machine, without TLS: put a proxy in front")
    _log.info("listening on %s", address.url)


def _reason(config: Config) -> str:
    if config.embedded_default:
        return "embedded default: no configuration given"
    if config.file is not None:
        return f"configured by {config.file}"
    return "configured by the environment"


def _words(selected: Selected) -> str:
    origin = ""
    if selected.distribution is not None:
        origin = f" ({selected.distribution} {selected.version})"
    return f"{selected.instance}={selected.backend}{origin}"
