"""What changes the schema of the configured metadata store, without opening it."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, cast

from juststorage.config import Config
from juststorage.errors import Misconfigured
from juststorage.plugins import MetadataStoreBackend, Migrator, OpenContext
from juststorage.runtime._clock import SystemClock
from juststorage.runtime._open import make_host
from juststorage.runtime._plan import make_plan

__all__ = ["make_migrator"]


def make_migrator(config: Config) -> Migrator:
    """The migrator of the configured metadata store.

    Raises:
        Misconfigured: The configuration is wrong, or the store has no schema to migrate.
    """
    host = make_host(config)
    host.require_sound()
    choice = make_plan(config, host).metadata
    backend = cast("MetadataStoreBackend[Any]", choice.offer.item)
    if backend.migrator is None:
        raise Misconfigured(f"the metadata store {backend.name!r} has no schema to migrate")
    context = OpenContext(
        instance=choice.instance,
        clock=SystemClock(),
        logger=logging.getLogger("juststorage.migrate"),
        background=_no_background,
        data_dir=config.data_dir.absolute(),
    )
    return backend.migrator(choice.options, context)


def _no_background(name: str, run: Callable[[], Awaitable[None]], /) -> None:
    raise AssertionError("a migrator has no background work")
