"""`objectstore` against the contract that every blob store keeps, on a real S3 server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from juststorage.testing import BlobStoreContract, PluginContract
from juststorage_objectstore.plugin import OBJECTSTORE, ObjectStoreOptions
from juststorage_objectstore.testing import S3Server

pytest_plugins = ["juststorage.testing.fixtures"]


class TestS3(BlobStoreContract):
    """Below a prefix of a bucket."""

    backend = OBJECTSTORE
    machine_examples = 10

    @pytest.fixture
    def options(self, objectstore_options: ObjectStoreOptions) -> ObjectStoreOptions:
        """An empty bucket."""
        return objectstore_options


class TestPlugin(PluginContract):
    """What the distribution offers, as the host sees it."""

    plugin = "objectstore"
    heavy = PluginContract.heavy | {"obstore"}

    @pytest.fixture
    def tables(self, s3_server: S3Server, s3_bucket: str) -> Mapping[str, Mapping[str, Any]]:
        """Options that lead to the server."""
        return {"blob_store:objectstore": s3_server.table(s3_bucket)}
