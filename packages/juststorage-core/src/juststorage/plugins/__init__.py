"""For plugin authors: markers, descriptors, options, and the tools that core's own plugins use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from juststorage.plugins._context import Background, Gauge, OpenContext
from juststorage.plugins._descriptors import (
    AuthenticatorBackend,
    Backend,
    BlobCapabilities,
    BlobStoreBackend,
    Command,
    GCPolicyBackend,
    HasherBackend,
    MetadataStoreBackend,
    MigrationStatus,
    Migrator,
    NoOptions,
)
from juststorage.plugins._markers import hookimpl
from juststorage.plugins._secret import Secret

if TYPE_CHECKING:
    from juststorage.plugins._gatherer import Gatherer

__all__ = [
    "AuthenticatorBackend",
    "Backend",
    "Background",
    "BlobCapabilities",
    "BlobStoreBackend",
    "Command",
    "GCPolicyBackend",
    "Gatherer",
    "Gauge",
    "HasherBackend",
    "MetadataStoreBackend",
    "MigrationStatus",
    "Migrator",
    "NoOptions",
    "OpenContext",
    "Secret",
    "hookimpl",
]


def __getattr__(name: str) -> Any:
    # The one part that needs an event loop: a command that opens nothing starts without asyncio.
    if name == "Gatherer":
        from juststorage.plugins._gatherer import Gatherer

        return Gatherer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
