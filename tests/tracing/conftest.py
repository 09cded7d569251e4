"""A receiver of traces, and servers that send to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from juststorage.testing.fixtures import *  # noqa: F403
from juststorage_objectstore.testing import s3_bucket, s3_server
from juststorage_postgres.testing import *  # noqa: F403
from tests.harness import serve
from tests.tracing.receiver import Receiver, receiving

__all__ = ["receiver", "s3_bucket", "s3_server", "serve"]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A receiver that runs."""
    with receiving() as made:
        yield made
