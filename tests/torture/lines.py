"""Lines of one process: its own to the bucket, and its own to the database. Either goes bad alone.

To the process a bad line looks as if the bucket or the database were away; to everybody else as if
the process were. Whatever it said before may still arrive, when it has long given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from juststorage_objectstore.testing import FaultyProxy, faulty_proxy
from juststorage_postgres.testing import LocalServer
from tests.lost_database.proxy import Proxy

__all__ = ["BAD", "Lines", "opened_lines"]

_METHODS: Final = ("GET", "HEAD", "PUT", "POST", "DELETE")


class Lines:
    """Both of them, well until they are told otherwise."""

    def __init__(self, bucket: FaultyProxy, database: Proxy) -> None:
        self.bucket = bucket
        self.database = database

    def go_bad(self, which: str, how: str) -> None:
        """Be bad until `heal`.

        Args:
            which: As in `BAD`.
            how: As there.
        """
        BAD[which][how](self)

    def heal(self) -> None:
        """Be well again; what was held up arrives."""
        self.database.heal()
        self.bucket.heal()


def _bucket(fault: str) -> Callable[[Lines], None]:
    def go_bad(lines: Lines) -> None:
        for method in _METHODS:
            lines.bucket.on(method, fault, times=10**6)  # type: ignore[arg-type]

    return go_bad


def _database(how: str) -> Callable[[Lines], None]:
    return lambda lines: lines.database.take_away(how)  # type: ignore[arg-type]


def _both(how: str) -> Callable[[Lines], None]:
    def go_bad(lines: Lines) -> None:
        for which in ("bucket", "database"):
            BAD[which][how](lines)

    return go_bad


BAD: Final[Mapping[str, Mapping[str, Callable[[Lines], None]]]] = {
    "bucket": {
        "cut off": _bucket("cut"),
        "silent": _bucket("hold"),
        "answers lost": _bucket("lose_answer"),
    },
    "database": {
        "cut off": _database("cut"),
        "silent": _database("silent"),
        "deaf": _database("deaf"),
        "answers lost": _database("lose_answers"),
        "dropped": lambda lines: lines.database.drop(),
        "forgotten": lambda lines: lines.database.silence(),
    },
    "both": {how: _both(how) for how in ("cut off", "silent", "answers lost")},
}
"""Which line, and how it is bad:

- cut off: connections end, and new ones are refused.
- silent: nothing arrives until it is well again, and then all that was said.
- deaf: requests arrive, and answers only once it is well again.
- answers lost: requests arrive, and the connection ends instead of the answer.
- dropped: each of the connections that there are ends instead of its next answer, and new ones are
  well.
- forgotten: the connections that there are say nothing more, and new ones are well.
"""


@contextmanager
def opened_lines(folder: Path, endpoint: str, server: LocalServer) -> Iterator[Lines]:
    """Lines to an S3 server and a PostgreSQL server, for as long as the block lasts.

    Args:
        folder: Is made: where the socket of the line to the database is.
        endpoint: Of the S3 server.
        server: The PostgreSQL server.
    """
    folder.mkdir()
    with (
        faulty_proxy(endpoint) as bucket,
        Proxy(folder, server.root / ".s.PGSQL.5432") as database,
    ):
        yield Lines(bucket, database)
