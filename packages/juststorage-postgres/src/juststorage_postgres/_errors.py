"""From the driver's errors to ours, and which of them may be tried again.

Two questions decide. *Did the server say no?* An error report means that the transaction was rolled
back: the same change may be tried again if the reason can pass. *Or did it fall silent?* Then the
change may have happened or not, and it is never repeated here: `Unavailable`, and the caller looks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import asyncpg  # type: ignore[import-untyped]

from juststorage.errors import BackendError, JustStorageError, StorageFull, Unavailable

__all__ = ["DRIVER_ERRORS", "is_answer", "is_passing", "translate", "translated"]

DRIVER_ERRORS: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)
"""What the driver raises when something goes wrong outside of us."""

_PASSING: Final = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available: lock_timeout
        # Ours: another transaction took the key, or made the row, after our snapshot. The next
        # attempt sees it, and answers with it.
        "23505",  # unique_violation
        "0A000",  # a cached plan whose result type changed: a migration ran meanwhile
    }
)

_AWAY: Final = (
    "08",  # connection exceptions
    "53",  # insufficient resources: connections, memory
    "57",  # operator intervention: shutdown, crash, cancel, statement_timeout
    "58",  # system errors: I/O
    "25",  # read-only: a replica, or a primary that has been demoted
    "28",  # authorization: a password that is being changed
    "40",  # still not serializable after all attempts
    "55",  # still locked after all attempts
)

_DISK_FULL: Final = "53100"

_CANCELED: Final = "57014"
"""The server ended a statement that took too long: as a rule a search that no index answers."""


def is_answer(error: BaseException) -> bool:
    """Whether nothing of the change can have happened, and the connection is in order.

    The server itself reported the error; or the driver could not encode a value, which then never
    left this process. An administrator's or a crash's end of the connection is no answer, though it
    has a code: COMMIT may have been done by then.
    """
    if isinstance(error, asyncpg.PostgresError):
        return not str(error.sqlstate or "").startswith(("08", "57P", "25P03"))
    return isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError)


def is_passing(error: BaseException) -> bool:
    """Whether the same transaction may succeed at its next attempt, and may be tried."""
    if isinstance(error, asyncpg.PostgresError):
        return error.sqlstate in _PASSING
    return _is_unsent(error)


def _is_unsent(error: BaseException) -> bool:
    """Whether the driver refused to send a statement on a connection that the server has ended.

    Told in the words of its state machine, when the server's last word arrived while nobody was
    listening and the end of the connection has not been noticed yet.
    """
    return isinstance(error, asyncpg.InternalClientError) and "cannot switch to state" in str(error)


def translate(error: Exception) -> JustStorageError:
    """Our error for a driver's, to be raised from it."""
    if isinstance(error, JustStorageError):
        return error
    state = str(getattr(error, "sqlstate", None) or "")
    if state == _CANCELED:
        return Unavailable("the metadata store was not done in time")
    if state == _DISK_FULL:
        return StorageFull("there is no room left for metadata")
    silent = isinstance(error, OSError | TimeoutError | asyncpg.InterfaceError)
    silent = silent or _is_unsent(error)
    if state.startswith(_AWAY) or (silent and not isinstance(error, ValueError)):
        return Unavailable("the metadata store does not answer")
    return BackendError(
        "the metadata store failed", plugin="postgres", distribution="juststorage-postgres"
    )


@contextmanager
def translated() -> Iterator[None]:
    """Let no error of the driver out."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translate(error) from error
