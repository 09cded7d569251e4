"""For plugin authors: markers, descriptors, options, and the tools that core's own plugins use."""

from juststorage.plugins._context import Background, OpenContext
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
from juststorage.plugins._gatherer import Gatherer
from juststorage.plugins._markers import hookimpl
from juststorage.plugins._secret import Secret

__all__ = [
    "AuthenticatorBackend",
    "Backend",
    "Background",
    "BlobCapabilities",
    "BlobStoreBackend",
    "Command",
    "GCPolicyBackend",
    "Gatherer",
    "HasherBackend",
    "MetadataStoreBackend",
    "MigrationStatus",
    "Migrator",
    "NoOptions",
    "OpenContext",
    "Secret",
    "hookimpl",
]
