"""A PostgreSQL server that a test may stop, and the real `juststorage serve` on it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from juststorage_postgres.testing.stoppable import *  # noqa: F403
from tests.harness import serve
from tests.lost_database.service import KEY

__all__ = ["environment", "serve"]


@pytest.fixture
def environment(url: str, tmp_path: Path) -> dict[str, Any]:
    """What a service on that database, with local files, is configured by."""
    return {
        "JUSTSTORAGE__METADATA__BACKEND": "postgres",
        "JUSTSTORAGE__METADATA__POSTGRES__URL": url,
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT": str(tmp_path / "hot"),
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__CREATE_ROOT": "true",
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        # One pool, whose connections a test can count; `--workers` overrides it.
        "JUSTSTORAGE__SERVER__WORKERS": "1",
    }
