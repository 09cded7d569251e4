"""The plugin of the torture: the real backends, with a point at each of their calls.

It is no part of the product. The processes under torture find it as any plugin is found, and a
configuration selects its backends: `localfs` on a filesystem with points, and the metadata stores
with points around their statements.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from juststorage.plugins import BlobStoreBackend, MetadataStoreBackend, OpenContext, hookimpl
from juststorage.ports import BlobStore, MetadataStore
from juststorage_localfs._fsops import FsOps
from juststorage_localfs.plugin import LOCALFS, LocalFSOptions
from juststorage_postgres._options import PostgresOptions
from juststorage_postgres.plugin import POSTGRES
from juststorage_sqlite.plugin import SQLITE, SqliteOptions
from tests.torture.points import Kind, Points
from tests.torture.syncs import Syncs

__all__ = ["PATH_VARIABLE", "PointedOps", "reach"]

PATH_VARIABLE = "TORTURE_POINTS"
"""Names the file of the points in the environment."""

_points: Points | None = None


def reach(where: str, kind: Kind = Kind.STATEMENT) -> bool:
    """Pass a point: see `Points.reach`."""
    global _points  # noqa: PLW0603 - one for each process, opened when it is first passed
    if _points is None:
        _points = Points(Path(os.environ[PATH_VARIABLE]))
    return _points.reach(where, kind)


def _file(where: str) -> None:
    reach(where, Kind.CHANGE)


class PointedOps(FsOps):
    """The filesystem, with a point before each call that changes it; one for each process."""

    def __init__(self) -> None:
        self._syncs = Syncs(Path(os.environ[PATH_VARIABLE]))

    def close(self, fd: int) -> None:
        """No point: it changes nothing."""
        self._syncs.closed(fd)
        super().close(fd)

    def open(self, path: str, flags: int, mode: int = 0o640, *, dir_fd: int | None = None) -> int:
        """A point where it may make a file."""
        if flags & os.O_CREAT:
            _file(f"create {path}")
        return super().open(path, flags, mode, dir_fd=dir_fd)

    def write(self, fd: int, data: bytes | bytearray | memoryview) -> int:
        """A point before, and one in the middle."""
        _file(f"write {len(data)} bytes")
        if len(data) < 2 or len(data) % 4096 == 0:  # direct writes are not to be torn
            return super().write(fd, data)
        half = super().write(fd, memoryview(data)[: len(data) // 2])
        _file(f"write the rest of {len(data)} bytes")
        return half + super().write(fd, memoryview(data)[half:])

    def allocate(self, fd: int, length: int) -> None:
        """A point."""
        _file(f"allocate {length} bytes")
        super().allocate(fd, length)

    def truncate(self, fd: int, length: int) -> None:
        """A point."""
        _file(f"truncate to {length} bytes")
        super().truncate(fd, length)

    def fsync(self, fd: int) -> None:
        """A point."""
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        self._sync(fd, super().fsync, "fsync a directory" if is_directory else "fsync a file")

    def sync_volume(self, fd: int) -> None:
        """A point."""
        self._sync(fd, super().sync_volume, "syncfs")

    def _sync(self, fd: int, call: Callable[[int], None], name: str) -> None:
        def pointed(fd: int) -> None:
            _file(name)
            call(fd)

        self._syncs.sync(fd, pointed, name)

    def rename(self, source: str, target: str, *, dir_fd: int) -> None:
        """A point."""
        _file(f"rename {source} to {target}")
        super().rename(source, target, dir_fd=dir_fd)

    def link(self, source: str, target: str, *, dir_fd: int) -> None:
        """A point."""
        _file(f"link {source} to {target}")
        super().link(source, target, dir_fd=dir_fd)

    def unlink(self, path: str, *, dir_fd: int) -> None:
        """A point."""
        _file(f"unlink {path}")
        super().unlink(path, dir_fd=dir_fd)

    def mkdir(self, path: str, *, dir_fd: int | None = None) -> None:
        """A point."""
        _file(f"mkdir {path}")
        super().mkdir(path, dir_fd=dir_fd)

    def rmdir(self, path: str, *, dir_fd: int) -> None:
        """A point."""
        _file(f"rmdir {path}")
        super().rmdir(path, dir_fd=dir_fd)

    def pread(self, fd: int, length: int, start: int) -> bytes:
        """A point of reads; one that lies has a flipped bit in the middle."""
        lies = reach(f"read {length} bytes", Kind.READ)
        data = super().pread(fd, length, start)
        if not lies or not data:
            return data
        at = len(data) // 2
        return data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :]

    def read_now(self, fd: int, buffer: memoryview, start: int) -> int:
        """A point of reads. What is in the cache does not lie: it has to come from the medium."""
        if reach(f"read {len(buffer)} bytes from the cache", Kind.READ):
            raise BlockingIOError(errno.EAGAIN, "it is not in the cache any more")
        return super().read_now(fd, buffer, start)


@asynccontextmanager
async def _open_files(options: LocalFSOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
    from juststorage_localfs._opening import open_store

    async with open_store(options, context, ops=PointedOps()) as store:
        yield store


# -- statements -----------------------------------------------------------------------------------


def _short(statement: object) -> str:
    return " ".join(str(statement).split())[:60]


class _PointedSqlite(sqlite3.Connection):
    """A connection with points around what changes something."""

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        word = sql.lstrip()[:6].upper()
        counts = word not in {"PRAGMA", "SAVEPO", "RELEAS"} and (
            self.in_transaction or word != "SELECT"
        )
        if counts:
            reach(f"before {_short(sql)}")
        cursor = super().execute(sql, *arguments)
        if counts and word == "COMMIT":
            reach(f"after {_short(sql)}")
        return cursor

    def executemany(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        reach(f"before {_short(sql)}")
        return super().executemany(sql, *arguments)


@asynccontextmanager
async def _open_sqlite(
    options: SqliteOptions, context: OpenContext
) -> AsyncIterator[MetadataStore]:
    connect = sqlite3.connect
    sqlite3.connect = lambda *a, **k: connect(*a, factory=_PointedSqlite, **k)  # type: ignore[assignment]
    try:
        async with SQLITE.open(options, context) as store:
            yield store
    finally:
        sqlite3.connect = connect


def _point_out(name: str) -> None:
    """Put points around a method of the connections that asyncpg's pool lends."""
    from asyncpg.pool import PoolConnectionProxy  # type: ignore[import-untyped]

    inner = getattr(PoolConnectionProxy, name)
    if hasattr(inner, "inner"):
        return

    async def between(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        reach(f"before {_short(query)}")
        result = await inner(self, query, *args, **kwargs)
        reach(f"after {_short(query)}")
        return result

    between.inner = inner  # type: ignore[attr-defined]
    setattr(PoolConnectionProxy, name, between)


@asynccontextmanager
async def _open_postgres(
    options: PostgresOptions, context: OpenContext
) -> AsyncIterator[MetadataStore]:
    for name in ("execute", "executemany", "fetch", "fetchrow", "fetchval"):
        _point_out(name)
    async with POSTGRES.open(options, context) as store:
        yield store


# -- the plugin -----------------------------------------------------------------------------------


@hookimpl
def juststorage_blob_stores() -> Iterable[BlobStoreBackend[LocalFSOptions]]:
    """Files with points."""
    yield BlobStoreBackend(
        name="pointed_localfs",
        summary="localfs with points",
        options=LocalFSOptions,
        open=_open_files,
        capabilities=LOCALFS.capabilities,
    )


@hookimpl
def juststorage_metadata_stores() -> Iterable[MetadataStoreBackend[Any]]:
    """Databases with points."""
    yield MetadataStoreBackend(
        name="pointed_sqlite",
        summary="sqlite with points",
        options=SqliteOptions,
        open=_open_sqlite,
        migrator=SQLITE.migrator,
    )
    yield MetadataStoreBackend(
        name="pointed_postgres",
        summary="postgres with points",
        options=PostgresOptions,
        open=_open_postgres,
        migrator=POSTGRES.migrator,
    )
