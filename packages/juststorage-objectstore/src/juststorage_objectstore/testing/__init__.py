"""For tests, ours and those of applications: a real S3 server, and a line to it that fails.

    pytest_plugins = ["juststorage_objectstore.testing"]

Install the extra `juststorage-objectstore[testing]`. The server is `JUSTSTORAGE_TEST_S3_URL`
(http://access-key:secret@host:port), else versitygw where it is installed; else tests are skipped,
or fail where `JUSTSTORAGE_TEST_REQUIRE` has the word `s3`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from juststorage_objectstore.plugin import ObjectStoreOptions
from juststorage_objectstore.testing._proxy import FaultyProxy, faulty_proxy
from juststorage_objectstore.testing._server import S3Server, running_s3, s3_source

__all__ = [
    "FaultyProxy",
    "S3Server",
    "faulty_proxy",
    "objectstore_options",
    "pytest_report_header",
    "running_s3",
    "s3_bucket",
    "s3_server",
    "s3_source",
]


def pytest_report_header() -> str:
    """Say which server is used."""
    return f"s3: {s3_source()}"


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server of this run of tests."""
    with running_s3() as server:
        yield server


@pytest.fixture
def s3_bucket(s3_server: S3Server) -> str:
    """A bucket with nothing in it, this test's alone."""
    return s3_server.make_bucket()


@pytest.fixture
def objectstore_options(s3_server: S3Server, s3_bucket: str) -> ObjectStoreOptions:
    """Options of the `objectstore` blob store on an empty bucket."""
    return s3_server.options(s3_bucket, "some/prefix")
