"""The object repository, put together."""

from __future__ import annotations

from juststorage_postgres._change import Changes
from juststorage_postgres._delete import Deletes
from juststorage_postgres._fast import FastLane
from juststorage_postgres._housekeeping import Housekeeping
from juststorage_postgres._pool import Pool
from juststorage_postgres._read import Reads
from juststorage_postgres._upload import Uploads

__all__ = ["PostgresObjectRepository"]


class PostgresObjectRepository(Uploads, Reads, Changes, Deletes, Housekeeping):
    """See `ObjectRepository`. Each base class has the methods of one group of it."""

    def __init__(self, pool: Pool, lane: FastLane) -> None:
        self._pool = pool
        self._lane = lane
