"""Instances on one PostgreSQL and one volume, told apart by their addresses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from juststorage_postgres.testing import *  # noqa: F403
from tests.harness import serve
from tests.rolling.client import KEY

__all__ = ["serve"]


@pytest.fixture
def settings(tmp_path: Path) -> dict[str, str]:
    """What all instances are told but for their database: a volume, a key, and time to leave."""
    return {
        "JUSTSTORAGE__METADATA__BACKEND": "postgres",
        "JUSTSTORAGE__METADATA__POSTGRES__POOL_SIZE": "4",
        "JUSTSTORAGE__BLOBS__HOT__BACKEND": "localfs",
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__ROOT": str(tmp_path / "hot"),
        "JUSTSTORAGE__BLOBS__HOT__LOCALFS__CREATE_ROOT": "true",
        "JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": KEY,
        "JUSTSTORAGE__SERVER__DRAIN_DELAY_S": "1",
        "JUSTSTORAGE__SERVER__WORKERS": "2",
    }


@pytest.fixture
def environment(settings: dict[str, str], postgres_url: str) -> dict[str, Any]:
    """The same, on a database with the newest schema."""
    return {**settings, "JUSTSTORAGE__METADATA__POSTGRES__URL": postgres_url}
