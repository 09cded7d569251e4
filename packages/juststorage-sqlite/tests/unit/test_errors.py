"""SQLite's failures in our words."""

from __future__ import annotations

import sqlite3

import pytest

from juststorage.errors import Corrupt, JustStorageError, StorageFull, Unavailable
from juststorage_sqlite._errors import commit_failure, our_errors


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_BUSY, Unavailable),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Unavailable),
        (sqlite3.SQLITE_LOCKED, Unavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable),
        (sqlite3.SQLITE_CANTOPEN, Unavailable),
        (sqlite3.SQLITE_READONLY, Unavailable),
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_CORRUPT, Corrupt),
        (sqlite3.SQLITE_CORRUPT_INDEX, Corrupt),
        (sqlite3.SQLITE_NOTADB, Corrupt),
        (sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, Corrupt),
    ],
)
def test_each_code_has_its_meaning(code: int, meaning: type[JustStorageError]) -> None:
    """A caller learns whether to try again; the driver's words stay in the cause."""
    error = sqlite3.OperationalError("/secret/path: driver text")
    error.sqlite_errorcode = code
    with pytest.raises(meaning) as raised, our_errors():
        raise error
    assert type(raised.value) is meaning
    assert raised.value.__cause__ is error
    assert "secret" not in str(raised.value)


def test_the_modules_own_errors_have_no_code() -> None:
    """An error that the sqlite3 module raises by itself is translated too."""
    with pytest.raises(Unavailable), our_errors():
        raise sqlite3.ProgrammingError("closed")


@pytest.mark.parametrize(
    ("code", "meaning"),
    [
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_IOERR_FSYNC, Unavailable),
        (sqlite3.SQLITE_CORRUPT, Unavailable),
    ],
)
def test_a_commit_that_raises(code: int, meaning: type[JustStorageError]) -> None:
    """Only a full disk is known to have committed nothing; otherwise the caller has to look."""
    error = sqlite3.OperationalError("driver text")
    error.sqlite_errorcode = code
    assert type(commit_failure(error)) is meaning
