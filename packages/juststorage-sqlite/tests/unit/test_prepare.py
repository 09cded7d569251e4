"""From a path to a usable database, or one clear sentence."""

from __future__ import annotations

import dataclasses
import sqlite3
import stat
import threading
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from juststorage.errors import Misconfigured, Unavailable
from juststorage.testing import open_context
from juststorage_sqlite._connection import Connecting, connect
from juststorage_sqlite._migrator import SqliteMigrator
from juststorage_sqlite._prepare import current_revision, prepare
from juststorage_sqlite._revisions import HEAD, REVISIONS
from juststorage_sqlite.plugin import SQLITE, SqliteOptions


def refusal(how: Connecting, *, auto_migrate: bool = True) -> str:
    """The sentence with which the file is refused; no word of it is the driver's."""
    with pytest.raises(Misconfigured) as raised:
        prepare(how, auto_migrate=auto_migrate)
    assert "sqlite3." not in str(raised.value)
    return str(raised.value)


def stamp(path: Path, revision: str) -> None:
    """Make the file say that it has this revision."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def test_a_fresh_file_is_private_and_complete(how: Connecting) -> None:
    """Only its owner reads the file, which holds secrets; a second start finds nothing to do."""
    prepare(how, auto_migrate=True)
    assert stat.S_IMODE(how.path.stat().st_mode) == 0o600
    with closing(connect(how)) as db:
        assert current_revision(db) == HEAD
    prepare(how, auto_migrate=False)


async def test_who_only_looks_migrates_nothing(path: Path, how: Connecting) -> None:
    """A look at a file with an older schema refuses it with the command, and leaves it as it is."""
    prepare(how, auto_migrate=True)
    stamp(path, REVISIONS[0])
    with pytest.raises(Misconfigured, match="juststorage migrate up"):
        async with (
            open_context("metadata") as context,
            SQLITE.open(SqliteOptions(path=str(path)), dataclasses.replace(context, inspect=True)),
        ):
            pass
    with closing(connect(how)) as db:
        assert current_revision(db) == REVISIONS[0]


async def test_who_only_looks_is_not_held_up(path: Path, how: Connecting) -> None:
    """A file that another process holds is told as busy soon, whatever `busy_timeout_s` says."""
    prepare(how, auto_migrate=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        options = SqliteOptions(path=str(path), busy_timeout_s=300)
        with pytest.raises(Unavailable, match="busy"):
            async with (
                open_context("metadata") as context,
                SQLITE.open(options, dataclasses.replace(context, inspect=True)),
            ):
                pass


def test_many_starts_at_once_make_one_schema(how: Connecting) -> None:
    """Workers that start together on no file do not trip over each other."""
    failures: list[BaseException] = []
    together = threading.Barrier(6)

    def start() -> None:
        together.wait()
        try:
            prepare(replace(how, busy_timeout_s=20), auto_migrate=True)
        except BaseException as error:  # noqa: BLE001 - reported below
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    with closing(connect(how)) as db:
        assert db.execute("SELECT count(*) FROM alembic_version").fetchone() == (1,)


def test_without_auto_migrate_the_command_is_named(how: Connecting) -> None:
    """An operator who migrates by hand is told the command, and the file is left alone."""
    assert "juststorage migrate up" in refusal(how, auto_migrate=False)
    SqliteMigrator(how).up()
    prepare(how, auto_migrate=False)


def test_a_newer_schema_is_refused(how: Connecting) -> None:
    """An old release never touches what a newer one made, whatever the options."""
    prepare(how, auto_migrate=True)
    stamp(how.path, "9999")
    for auto_migrate in (True, False):
        assert "newer" in refusal(how, auto_migrate=auto_migrate)
    with pytest.raises(Misconfigured, match="newer"):
        SqliteMigrator(how).status()


def test_a_missing_directory(how: Connecting) -> None:
    """The directory is not made up: a typing error would scatter databases."""
    assert "directory" in refusal(replace(how, path=how.path.parent / "absent" / "file"))


def test_a_directory_in_place_of_the_file(how: Connecting) -> None:
    """A path that is a directory cannot be opened."""
    how.path.mkdir()
    assert "cannot be opened for writing" in refusal(how)


def test_a_place_where_nothing_can_be_made(how: Connecting) -> None:
    """A directory that takes no file, whoever asks, is refused at start."""
    assert "cannot be opened for writing" in refusal(replace(how, path=Path("/proc/self/file")))


def test_a_file_that_is_no_database(how: Connecting) -> None:
    """Some other file is refused and not changed."""
    how.path.write_bytes(b"not a database, certainly" * 100)
    assert "not a SQLite database" in refusal(how)
    assert how.path.read_bytes() == b"not a database, certainly" * 100


def test_a_damaged_file(how: Connecting) -> None:
    """A database whose pages were overwritten is refused."""
    prepare(how, auto_migrate=True)
    with how.path.open("r+b") as file:
        file.seek(100)
        file.write(b"\xff" * 4000)
    assert "damaged" in refusal(how)


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (x)", "CREATE TABLE alembic_version (version_num)"]
)
def test_a_database_of_somebody_else(how: Connecting, statement: str) -> None:
    """Another application's database gets no tables of ours."""
    with closing(sqlite3.connect(how.path)) as db, db:
        db.execute(statement)
        db.execute("CREATE TABLE objects (x)")
    assert "not one of JustStorage" in refusal(how)


def test_a_schema_without_a_revision(how: Connecting) -> None:
    """A file that lost its version is not guessed at."""
    prepare(how, auto_migrate=True)
    with closing(sqlite3.connect(how.path)) as db, db:
        db.execute("DELETE FROM alembic_version")
    assert "does not say" in refusal(how)


def test_a_file_that_is_locked_for_too_long(how: Connecting) -> None:
    """A start that cannot get at the file says that it may be tried again."""
    prepare(how, auto_migrate=True)
    with closing(sqlite3.connect(how.path, isolation_level=None)) as holder:
        holder.execute("PRAGMA locking_mode = EXCLUSIVE")
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable):
            prepare(replace(how, busy_timeout_s=0.05), auto_migrate=True)


class TestWithoutCreating:
    """For commands that look at a store: one that they made would be empty, and seem well."""

    @pytest.mark.parametrize("content", [None, b""])
    def test_no_store_is_refused_and_not_made(self, how: Connecting, content: bytes | None) -> None:
        """A file that is missing, or empty from a start that was cut off, is no store."""
        if content is not None:
            how.path.write_bytes(content)
        with pytest.raises(Misconfigured, match=r"there is no store in .*juststorage migrate up"):
            prepare(how, auto_migrate=True, create=False)
        assert how.path.exists() is (content is not None)
        assert content is None or how.path.read_bytes() == content

    def test_a_database_without_a_schema_gets_none(self, how: Connecting) -> None:
        """What a migration took all the way down stays down until somebody migrates it up."""
        prepare(how, auto_migrate=True)
        SqliteMigrator(how).down("base")
        with pytest.raises(Misconfigured, match=r"no schema yet.*juststorage migrate up"):
            prepare(how, auto_migrate=True, create=False)
        assert SqliteMigrator(how).status().current is None

    def test_a_store_is_opened(self, how: Connecting) -> None:
        """What is there is used as ever."""
        prepare(how, auto_migrate=True)
        prepare(how, auto_migrate=True, create=False)

    def test_a_path_below_a_file(self, how: Connecting) -> None:
        """The system's reason is told."""
        (how.path.parent / "file").write_text("")
        below = replace(how, path=how.path.parent / "file" / "metadata.sqlite3")
        with pytest.raises(Misconfigured, match="cannot be opened: Not a directory"):
            prepare(below, auto_migrate=True, create=False)


def test_going_down_makes_no_file(how: Connecting) -> None:
    """Where there is no database there is nothing to take back."""
    with pytest.raises(Misconfigured, match="there is no store in "):
        SqliteMigrator(how).down("base")
    assert not how.path.exists()
