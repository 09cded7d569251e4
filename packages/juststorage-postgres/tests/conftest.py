"""What the tests of this package share."""

from __future__ import annotations

from juststorage.testing.fixtures import anyio_backend  # noqa: F401
from juststorage_postgres.testing import *  # noqa: F403
