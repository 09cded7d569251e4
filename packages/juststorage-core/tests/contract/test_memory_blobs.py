"""The in-memory blob store through the kit."""

from __future__ import annotations

from juststorage.plugins.memory import MEMORY_BLOBS
from juststorage.testing import BlobStoreContract

pytest_plugins = ["juststorage.testing.fixtures"]


class TestMemoryBlobs(BlobStoreContract):
    backend = MEMORY_BLOBS
