"""The descriptor: light to import, strict about its options."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points

import msgspec
import pytest

from juststorage.plugins import Secret
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES, juststorage_metadata_stores


def test_the_entry_point_leads_to_the_descriptor() -> None:
    """Installing the package is enough for the host to find it."""
    [found] = entry_points(group="juststorage.plugins", name="postgres")
    assert found.load().POSTGRES is POSTGRES
    assert list(juststorage_metadata_stores()) == [POSTGRES]


def test_importing_it_is_cheap() -> None:
    """Neither driver, nor SQLAlchemy, nor alembic: a command line that lists plugins needs none."""
    program = (
        "import sys, juststorage_postgres.plugin;"
        "print({'asyncpg', 'sqlalchemy', 'alembic', 'pytest'} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert told.stdout == "set()\n"


def test_opening_it_imports_no_alembic() -> None:
    """A service looks at its schema's revision without the seconds that alembic takes."""
    program = (
        "import sys, juststorage_postgres._store;"
        "print({'alembic', 'sqlalchemy.ext.asyncio'} & set(sys.modules))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert told.stdout == "set()\n"


@pytest.mark.parametrize(
    "options",
    [
        {"url": Secret("postgresql://h/d"), "pool_sice": 5},
        {"url": Secret("postgresql://h/d"), "pool_size": 0},
        {"url": Secret("postgresql://h/d"), "sslmode": "sometimes"},
        {"url": Secret("postgresql://h/d"), "statement_timeout_s": 0},
        {},
    ],
)
def test_wrong_options(options: dict[str, object]) -> None:
    """Unknown names, missing ones and values out of bounds are refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, PostgresOptions)


def test_the_url_is_a_secret() -> None:
    """The options can be shown."""
    options = PostgresOptions(url=Secret("postgresql://u:hunter2@h/d"))
    assert "hunter2" not in repr(options)
