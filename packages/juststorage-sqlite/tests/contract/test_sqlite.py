"""The SQLite metadata store through the kit."""

from __future__ import annotations

from juststorage.testing import MetadataStoreContract
from juststorage_sqlite.plugin import SQLITE

pytest_plugins = ["juststorage.testing.fixtures"]


class TestSqlite(MetadataStoreContract):
    backend = SQLITE
