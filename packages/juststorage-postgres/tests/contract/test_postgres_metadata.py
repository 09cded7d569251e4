"""The conformance kit, on a real server."""

from __future__ import annotations

import pytest

from juststorage.testing import MetadataStoreContract
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES


class TestPostgres(MetadataStoreContract):
    """The contract, through the descriptor that production uses."""

    backend = POSTGRES
    machine_examples = 10

    @pytest.fixture
    def options(self, postgres_options: PostgresOptions) -> PostgresOptions:
        return postgres_options
