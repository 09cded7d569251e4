"""The plugin and its store through the kit."""

from __future__ import annotations

from juststorage.testing import MetadataStoreContract, PluginContract
from juststorage_sqlite.plugin import SQLITE

pytest_plugins = ["juststorage.testing.fixtures"]


class TestSqlitePlugin(PluginContract):
    plugin = "sqlite"


class TestSqliteStore(MetadataStoreContract):
    backend = SQLITE
