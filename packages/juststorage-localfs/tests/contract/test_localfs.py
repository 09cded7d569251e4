"""`localfs` against the contract that every blob store keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from juststorage.testing import BlobStoreContract, PluginContract
from juststorage_localfs.plugin import LOCALFS, LocalFSOptions

pytest_plugins = ["juststorage.testing.fixtures"]


class TestLocalFS(BlobStoreContract):
    """An explicit root on the filesystem of the temporary directory."""

    backend = LOCALFS

    @pytest.fixture
    def options(self, tmp_path: Path) -> LocalFSOptions:
        """An empty root."""
        return LocalFSOptions(root=str(tmp_path))


class TestEmbedded(BlobStoreContract):
    """All defaults, as in the start without any configuration."""

    backend = LOCALFS


class TestPlugin(PluginContract):
    """What the distribution offers, as the host sees it."""

    plugin = "localfs"
