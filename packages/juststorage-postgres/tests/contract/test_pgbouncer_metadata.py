"""The conformance kit, through the real PgBouncer in transaction mode."""

from __future__ import annotations

import pytest

from juststorage.testing import MetadataStoreContract
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES


class TestBehindPgBouncer(MetadataStoreContract):
    """The contract, with statements of one store on any of three server connections."""

    backend = POSTGRES
    machine_examples = 2

    @pytest.fixture
    def options(self, bouncer_options: PostgresOptions) -> PostgresOptions:
        return bouncer_options
