"""The in-memory metadata store through the kit."""

from __future__ import annotations

from juststorage.plugins.memory import MEMORY_METADATA
from juststorage.testing import MetadataStoreContract

pytest_plugins = ["juststorage.testing.fixtures"]


class TestMemoryMetadata(MetadataStoreContract):
    backend = MEMORY_METADATA
