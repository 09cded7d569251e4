"""What the tests of this package share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from juststorage.testing.fixtures import anyio_backend, fake_clock  # noqa: F401
from juststorage_objectstore.testing import *  # noqa: F403
from juststorage_objectstore.testing import FaultyProxy, S3Server, faulty_proxy


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultyProxy]:
    """A line to the server that fails when told."""
    with faulty_proxy(s3_server.endpoint) as made:
        yield made
