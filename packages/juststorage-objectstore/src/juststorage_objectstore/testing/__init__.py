"""For tests, ours and those of applications: real servers, and a line to one that fails.

    pytest_plugins = ["juststorage_objectstore.testing"]

Install the extra `juststorage-objectstore[testing]`. The server is `JUSTSTORAGE_TEST_S3_URL`
(http://access-key:secret@host:port), else versitygw where it is installed; else tests are skipped,
or fail where `JUSTSTORAGE_TEST_REQUIRE` has the word `s3`. For
Azure's protocol it is Azurite, where npm installed it (`azure`).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from juststorage_objectstore.plugin import ObjectStoreOptions
from juststorage_objectstore.testing._azure import AzureServer, azure_source, running_azure
from juststorage_objectstore.testing._proxy import FaultyProxy, faulty_proxy
from juststorage_objectstore.testing._server import S3Server, running_s3, s3_source

__all__ = [
    "AzureServer",
    "FaultyProxy",
    "S3Server",
    "azure_server",
    "azure_source",
    "faulty_proxy",
    "objectstore_options",
    "pytest_report_header",
    "running_azure",
    "running_s3",
    "s3_bucket",
    "s3_server",
    "s3_source",
]


def pytest_report_header() -> list[str]:
    """Say which servers are used."""
    return [f"s3: {s3_source()}", f"azure: {azure_source()}"]


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server of this run of tests."""
    with running_s3() as server:
        yield server


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    """The server of Azure's protocol of this run of tests."""
    with running_azure() as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """A bucket with nothing in it, this test's alone."""
    return s3_server.make_bucket()


@pytest.fixture
def objectstore_options(s3_server: S3Server, s3_bucket: str) -> ObjectStoreOptions:
    """Options of the `objectstore` blob store on an empty bucket."""
    return s3_server.options(s3_bucket, "some/prefix")
