"""`juststorage export`: objects as the files of a directory tree, as often as it takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from juststorage.cli import Progress, goes_on, json_option
from juststorage.errors import Conflict, Invalid, NotFound
from juststorage_api._client._parallel import Report, each_in_parallel
from juststorage_api._client._problems import EXIT_CODES, exits
from juststorage_api._client._server import Server, server_options
from juststorage_api._client._target import Place, Target, place_of

__all__ = ["command"]

_BY_ID: Final = ".by-id"
_SEGMENT_BYTES: Final = 255


class _Found(NamedTuple):
    document: dict[str, Any]
    name: str
    """What is left of its key without the prefix; where there is no key, a place by its id."""


@click.command(
    name="export",
    epilog="\b\nExamples:\n  juststorage export docs/acme /srv/files\n"
    "  juststorage export --jobs 16 --json docs/acme/2026/ /srv/files\n\n"
    "What is there already with the same bytes is skipped, so the same command goes on where it\n"
    "was broken off. Nothing is deleted. Keys that no path can have are failures: with empty\n"
    f"parts, with `.` or `..`, or with more than {_SEGMENT_BYTES} bytes between two slashes.\n\n"
    f"{EXIT_CODES}",
)
@click.argument("place", metavar="NAMESPACE/TENANT[/PREFIX]")
@click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@server_options
@click.option("--replace", is_flag=True, help="Replace files that have other bytes.")
@click.option("--jobs", type=click.IntRange(1, 64), default=8, show_default=True, help="At once.")
@json_option("Print a JSON object a line: each, then all.")
@exits
def command(
    connect: Callable[[], Server],
    place: str,
    directory: Path,
    *,
    replace: bool,
    jobs: int,
    as_json: bool,
) -> None:
    """Write each object below PREFIX into DIR, under the path that is the rest of its key.

    PREFIX with or without a final slash means the same, as for `import`: PREFIX/a/b goes to a/b,
    and an object with the key PREFIX itself is not among them.

    In parallel; each file appears whole, with its hash compared. A file that is there with other
    bytes stays, and is a failure, unless --replace is given. Objects without a key go to .by-id/ID.
    """
    where = place_of(place, whole=True).directory
    report = Report(as_json)
    goes_on(click.get_current_context())
    with connect() as server, report, Progress("export", quiet=as_json) as progress:
        directory.mkdir(parents=True, exist_ok=True)
        if progress.is_watched:
            progress.expects(_size(server, where))
        exporting = _Export(server, where, directory, progress, replace=replace)
        each_in_parallel(
            server,
            _objects(server, where),
            exporting.one,
            lambda found, outcome: report.add(found.name, outcome, _listed(found)),
            jobs=jobs,
        )


class _Export:
    """How one object is exported. Safe in several threads."""

    def __init__(
        self, server: Server, where: Place, directory: Path, progress: Progress, *, replace: bool
    ) -> None:
        self._server = server
        self._where = where
        self._directory = directory
        self._progress = progress
        self._replace = replace

    def one(self, found: _Found) -> str:
        """Write it, or find that there is nothing to do."""
        from juststorage_api._client._download import Content, get_to_file

        document = found.document
        path = self._directory / _checked(found)
        content = Content(document["id"], document["content_hash"], document["size_bytes"])
        word = "written"
        if path.exists():
            if self._has(path, content):
                self._progress.moved(content.size)
                return "unchanged"
            if not self._replace:
                raise Conflict("the file has other bytes; --replace would replace it")
            word = "replaced"
        path.parent.mkdir(parents=True, exist_ok=True)
        target = Target(object_id=document["id"], tenant=document["tenant_id"])
        try:
            get_to_file(self._server, target, path, self._progress, content=content)
        except NotFound:
            if document["key"] is None:
                return "gone meanwhile"
            try:
                # Replaced since it was listed: what has its key now is wanted.
                target = Target(
                    namespace=self._where.namespace,
                    tenant=self._where.tenant,
                    key=document["key"],
                )
                get_to_file(self._server, target, path, self._progress)
            except NotFound:
                return "gone meanwhile"
        return word

    def _has(self, path: Path, content: Any) -> bool:
        from juststorage_api._client._upload import hash_of_file

        if path.stat().st_size != content.size:
            return False
        with path.open("rb") as file:
            there = hash_of_file(file, self._server.stop, content.algorithm)
        return bool(there == content.content_hash)


def _objects(server: Server, where: Place) -> Iterator[_Found]:
    for page in server.pages(where.query):
        for each in page:
            key = each["key"]
            name = f"{_BY_ID}/{each['id']}" if key is None else key.removeprefix(where.prefix)
            yield _Found(each, name)


def _listed(found: _Found) -> Target:
    document = found.document
    if document["key"] is None:
        return Target(object_id=document["id"], tenant=document["tenant_id"])
    return Target(
        namespace=document["namespace"], tenant=document["tenant_id"], key=document["key"]
    )


def _size(server: Server, where: Place) -> int:
    """How much there is, for the bar: counted by the server, or for a part of a namespace here."""
    if where.prefix:
        return sum(each["size_bytes"] for page in server.pages(where.query) for each in page)
    params = {**where.query, "physical": "false"}
    return int(server.json("GET", "/v1/usage", params=params)["logical_bytes"])


def _checked(found: _Found) -> str:
    """The path below the directory, and never elsewhere.

    Raises:
        Invalid: No file can be called so.
    """
    segments = found.name.split("/")
    is_by_id = found.document["key"] is None
    if not is_by_id and segments[0] == _BY_ID:
        raise Invalid(f"{_BY_ID} is where objects without a key go")
    for segment in segments:
        if segment in {"", ".", ".."} or len(segment.encode()) > _SEGMENT_BYTES:
            raise Invalid("no file can be called like this key")
    return found.name
