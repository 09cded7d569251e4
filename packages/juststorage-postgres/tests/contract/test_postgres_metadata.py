"""The conformance kit, on a real server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from juststorage.testing import MetadataStoreContract, PluginContract
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES


class TestPostgres(MetadataStoreContract):
    """The contract, through the descriptor that production uses."""

    backend = POSTGRES
    machine_examples = 10

    @pytest.fixture
    def options(self, postgres_options: PostgresOptions) -> PostgresOptions:
        return postgres_options


class TestPlugin(PluginContract):
    """The contract of the plugin as a whole."""

    plugin = "postgres"

    @pytest.fixture
    def tables(self, postgres_url: str) -> Mapping[str, Mapping[str, Any]]:
        return {"metadata_store:postgres": {"url": postgres_url}}
