"""Configuration: typed sections, read from a TOML file with the environment laid over it."""

from juststorage.config._config import Config
from juststorage.config._describe import options_schema, redacted, schema
from juststorage.config._operating import Metrics, Tracing
from juststorage.config._sections import (
    AuthSection,
    Backup,
    BackupContentsSection,
    BackupManifestsSection,
    Blobs,
    ColdBlobsSection,
    GCSection,
    HasherSection,
    HotBlobsSection,
    MetadataSection,
    PluginsSection,
    Section,
)
from juststorage.config._serving import Audit, Downloads, Limits, Log, RateLimits, Server, Uploads

__all__ = [
    "Audit",
    "AuthSection",
    "Backup",
    "BackupContentsSection",
    "BackupManifestsSection",
    "Blobs",
    "ColdBlobsSection",
    "Config",
    "Downloads",
    "GCSection",
    "HasherSection",
    "HotBlobsSection",
    "Limits",
    "Log",
    "MetadataSection",
    "Metrics",
    "PluginsSection",
    "RateLimits",
    "Section",
    "Server",
    "Tracing",
    "Uploads",
    "options_schema",
    "redacted",
    "schema",
]
