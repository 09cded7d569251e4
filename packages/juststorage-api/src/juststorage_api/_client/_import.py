"""`juststorage import`: the files of a directory tree as objects, as often as it takes."""

from __future__ import annotations

import mimetypes
import os
import stat
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

import click

from juststorage.cli import Progress, goes_on, json_option
from juststorage.errors import Conflict, Invalid, NotFound, PreconditionFailed
from juststorage_api._client._parallel import Report, each_in_parallel
from juststorage_api._client._problems import EXIT_CODES, exits
from juststorage_api._client._server import Server, server_options
from juststorage_api._client._target import Place, Target, place_of

if TYPE_CHECKING:
    from juststorage_api._client._download import Content

__all__ = ["command"]

_CONTENT_TYPE = "application/octet-stream"
_SORTED = 10_000


class _File(NamedTuple):
    path: Path
    name: str
    size: int


@click.command(
    name="import",
    epilog="\b\nExamples:\n  juststorage import /srv/files docs/acme\n"
    "  juststorage import --dry-run /srv/files docs/acme/2026/\n"
    "  juststorage import --replace --jobs 16 --json /srv/files docs/acme\n\n"
    "What is there already with the same bytes is skipped, so the same command goes on where it\n"
    "was broken off. Nothing is deleted. Links and devices are left out, and counted.\n\n"
    f"{EXIT_CODES}",
)
@click.argument(
    "directory", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.argument("place", metavar="NAMESPACE/TENANT[/PREFIX]")
@server_options
@click.option("--replace", is_flag=True, help="Replace objects that have other bytes.")
@click.option("--storage-class", type=click.Choice(["hot", "cold"]), help="Where to keep them.")
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="At once.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done, and with which keys.")
@json_option("Print a JSON object a line: each, then all.")
@exits
def command(
    connect: Callable[[], Server],
    directory: Path,
    place: str,
    *,
    replace: bool,
    storage_class: str | None,
    jobs: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Store each file below DIR under the key that is PREFIX, a slash and its path.

    PREFIX with or without a final slash means the same: a/b goes to PREFIX/a/b. --dry-run shows the
    keys, and so does --json.

    In parallel, and again and again until it is done: a file is left alone where an object with its
    bytes has its key. One with other bytes stays, and is a failure, unless --replace is given.
    """
    where = place_of(place, whole=True).directory
    report = Report(as_json, lists=dry_run)
    goes_on(click.get_current_context())
    with connect() as server, report, Progress("import", quiet=as_json) as progress:
        if progress.is_watched:
            progress.expects(sum(each.size for each in _files(directory)))
        importing = _Import(
            server, where, progress, replace=replace, storage_class=storage_class, dry_run=dry_run
        )
        each_in_parallel(
            server,
            _files(directory, report),
            importing.one,
            lambda file, outcome: report.add(file.name, outcome, where.target(file.name)),
            jobs=jobs,
        )


class _Import:
    """How one file is imported. Safe in several threads."""

    def __init__(
        self,
        server: Server,
        where: Place,
        progress: Progress,
        *,
        replace: bool,
        storage_class: str | None,
        dry_run: bool,
    ) -> None:
        self._server = server
        self._where = where
        self._replace = replace
        self._storage_class = storage_class
        self._dry_run = dry_run
        self._progress = progress

    def one(self, file: _File) -> str:
        """Store it, or find that there is nothing to do."""
        from juststorage_api._client._download import find

        try:
            file.name.encode()
        except UnicodeEncodeError:
            raise Invalid("its name is not UTF-8, so it cannot be a key") from None
        target = self._where.target(file.name)
        try:
            there = find(self._server, target)
        except NotFound:
            there = None
        descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with open(descriptor, "rb") as opened:  # noqa: PTH123  a descriptor has no path
            size = os.fstat(descriptor).st_size
            if there is not None:
                # Reading a file is cheaper than sending it; its size costs nothing.
                if there.size == size and self._is_same(opened, there):
                    self._progress.moved(file.size)
                    return "unchanged"
                if not self._replace:
                    raise Conflict(f"{target} has other bytes; --replace would replace it")
            word = "stored" if there is None else "replaced"
            if self._dry_run:
                self._progress.moved(file.size)
                return f"would be {word}"
            return self._send(target, opened, None if there is None else there.etag, word)

    def _send(self, target: Target, opened: IO[bytes], etag: str | None, word: str) -> str:
        from juststorage_api._client._download import find
        from juststorage_api._client._upload import put

        condition = {"if-none-match": "*"} if etag is None else {"if-match": etag}
        guessed = mimetypes.guess_type(str(target.key))[0] or _CONTENT_TYPE
        try:
            put(
                self._server,
                target,
                opened,
                progress=self._progress,
                headers={"content-type": guessed, **condition},
                storage_class=self._storage_class,
            )
        except PreconditionFailed:
            # Somebody was faster; maybe another import of the same files.
            if not self._is_same(opened, find(self._server, target)):
                raise
            return "unchanged"
        return word

    def _is_same(self, opened: IO[bytes], there: Content) -> bool:
        from juststorage_api._client._upload import hash_of_file

        return hash_of_file(opened, self._server.stop, there.algorithm) == there.content_hash


def _files(directory: Path, report: Report | None = None) -> Iterator[_File]:
    """All files below; what is none is reported. The order is that of names, as `_entries` has it.

    In memory are some entries of one directory, and the paths of directories that are still to be
    read. Links are not followed: what they lead to may be outside, or above.
    """
    waiting = [str(directory)]
    while waiting:
        here = waiting.pop()
        below: list[str] = []
        try:
            for entry in _entries(here):
                name = os.path.relpath(entry.path, directory)
                try:
                    mode = entry.stat(follow_symlinks=False)
                except OSError as error:
                    if report is not None:
                        report.add(name, error)
                    continue
                if stat.S_ISDIR(mode.st_mode):
                    below.append(entry.path)
                elif stat.S_ISREG(mode.st_mode):
                    yield _File(Path(entry.path), name, mode.st_size)
                elif report is not None:
                    report.add(name, "left out")
        except OSError as error:
            if report is not None:
                report.add(os.path.relpath(here, directory), error)
        waiting += reversed(below)


def _entries(directory: str) -> Iterator[os.DirEntry[str]]:
    """In the order of their names, `_SORTED` at a time: an entry takes a kilobyte of memory."""
    with os.scandir(directory) as entries:
        while some := list(islice(entries, _SORTED)):
            some.sort(key=lambda entry: entry.name, reverse=True)
            while some:
                yield some.pop()
