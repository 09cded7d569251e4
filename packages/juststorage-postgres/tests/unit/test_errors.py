"""What becomes of the driver's errors."""

from __future__ import annotations

import asyncpg
import pytest

from juststorage.errors import (
    BackendError,
    JustStorageError,
    NotFound,
    StorageFull,
    Unavailable,
)
from juststorage_postgres._errors import is_answer, is_passing, translate, translated

data_error = asyncpg.exceptions._base.DataError


@pytest.mark.parametrize(
    ("error", "kind", "answer", "passing"),
    [
        (ConnectionRefusedError("the driver's words"), Unavailable, False, False),
        (TimeoutError("the driver's words"), Unavailable, False, False),
        (asyncpg.InterfaceError("the driver's words"), Unavailable, False, False),
        (asyncpg.ConnectionDoesNotExistError("the driver's words"), Unavailable, False, False),
        (asyncpg.AdminShutdownError("the driver's words"), Unavailable, False, False),
        (asyncpg.CannotConnectNowError("the driver's words"), Unavailable, False, False),
        (asyncpg.TooManyConnectionsError("the driver's words"), Unavailable, True, False),
        (asyncpg.DiskFullError("the driver's words"), StorageFull, True, False),
        (asyncpg.QueryCanceledError("the driver's words"), Unavailable, True, False),
        (asyncpg.ReadOnlySQLTransactionError("the driver's words"), Unavailable, True, False),
        (asyncpg.DeadlockDetectedError("the driver's words"), Unavailable, True, True),
        (asyncpg.SerializationError("the driver's words"), Unavailable, True, True),
        (asyncpg.LockNotAvailableError("the driver's words"), Unavailable, True, True),
        (asyncpg.UniqueViolationError("the driver's words"), BackendError, True, True),
        (asyncpg.CheckViolationError("the driver's words"), BackendError, True, False),
        (asyncpg.UndefinedTableError("the driver's words"), BackendError, True, False),
        (data_error("the driver's words"), BackendError, True, False),
        (asyncpg.InternalClientError("the driver's words"), BackendError, False, False),
        # What the driver says when the server ended the connection between two statements.
        (
            asyncpg.InternalClientError("the driver's words: cannot switch to state 15"),
            Unavailable,
            False,
            True,
        ),
    ],
)
def test_the_driver(
    error: Exception, kind: type[JustStorageError], answer: bool, passing: bool
) -> None:
    """Away or broken; an answer of the server or silence; worth another attempt or not."""
    assert type(translate(error)) is kind
    assert is_answer(error) is answer
    assert is_passing(error) is passing
    with pytest.raises(kind) as caught, translated():
        raise error
    assert caught.value.__cause__ is error
    assert "the driver's words" not in str(caught.value)


def test_ours() -> None:
    """Our own errors pass as they are."""
    error = NotFound("there is no such object")
    assert translate(error) is error
    with pytest.raises(NotFound), translated():
        raise error
