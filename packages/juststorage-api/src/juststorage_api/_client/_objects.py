"""`juststorage objects`: list, look at, fetch, store, delete and copy objects of a server."""

from __future__ import annotations

import json
import mimetypes
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import click
import msgspec

from juststorage.cli import Progress, goes_on, json_option, print_json, print_json_line, so_far
from juststorage.errors import Denied, JustStorageError, NotFound, Unauthenticated
from juststorage_api._client._problems import EXIT_CODES, about, exits, wants_tenant
from juststorage_api._client._server import Server, server_options
from juststorage_api._client._target import TARGET, Target, place_of

__all__ = ["command"]

Connect = Callable[[], Server]

_storage_class = click.option(
    "--storage-class", type=click.Choice(["hot", "cold"]), help="Where to keep it."
)
_CONTENT_TYPE = "application/octet-stream"


@click.group(
    name="objects",
    epilog="\b\nExamples:\n"
    "  export JUSTSTORAGE_URL=https://storage.internal JUSTSTORAGE_KEY_FILE=key\n"
    "  juststorage objects put report.pdf docs/acme/2026/report.pdf\n"
    "  juststorage objects get docs/acme/2026/report.pdf\n"
    "  juststorage objects ls docs/acme/2026/",
)
def command() -> None:
    """Work with the objects of a server.

    An object is NAMESPACE/TENANT/KEY, or id:ID, or id:ID@TENANT for callers of several tenants. The
    key of the caller comes from a file or from JUSTSTORAGE_KEY, never from the command line.
    """


@command.command(
    name="ls",
    epilog="\b\nExamples:\n  juststorage objects ls docs/acme/2026/\n"
    f"  juststorage objects ls --json docs/acme | wc -l\n\n{EXIT_CODES}",
)
@click.argument("place", metavar="[NAMESPACE[/TENANT[/PREFIX]]]", default="")
@server_options
@click.option("--limit", type=click.IntRange(min=1), help="Objects to show at most.")
@json_option("Print a JSON object a line.")
@exits
def list_(connect: Connect, place: str, *, limit: int | None, as_json: bool) -> None:
    """List objects.

    By key where there is a PREFIX, else newest first.
    """
    shown = 0
    with connect() as server, wants_tenant("NAMESPACE/TENANT"):
        for page in server.pages(place_of(place).query):
            for each in page:
                if shown == limit:
                    return
                shown += 1
                if as_json:
                    print_json_line(each)
                else:
                    click.echo(_line(each))


@command.command(
    epilog=f"\b\nExample:\n  juststorage objects stat docs/acme/2026/report.pdf\n\n{EXIT_CODES}"
)
@click.argument("target", metavar="OBJECT", type=TARGET)
@server_options
@json_option()
@exits
def stat(connect: Connect, target: Target, *, as_json: bool) -> None:
    """Show what is recorded of an object."""
    with connect() as server:
        document = _document(server, target)
    if as_json:
        print_json(document)
        return
    for name, value in document.items():
        shown = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        click.echo(f"{name:13}  {shown}")


@command.command(
    epilog="\b\nExamples:\n  juststorage objects get docs/acme/2026/report.pdf\n"
    "  juststorage objects get docs/acme/dump.tar - | tar x\n\n"
    "A connection that breaks is made again, and the rest fetched. FILE appears when all of it is\n"
    "there and its hash was compared; until then there is a hidden file beside it, which the same\n"
    "command goes on from.\n\n"
    f"{EXIT_CODES}"
)
@click.argument("target", metavar="OBJECT", type=TARGET)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@server_options
@json_option()
@exits
def get(connect: Connect, target: Target, file: Path | None, *, as_json: bool) -> None:
    """Fetch an object.

    Into FILE, a directory, or standard output for `-`; by default here, under the end of its key.
    """
    from juststorage_api._client._download import Content, find, get_to_file, get_to_stream

    to_stdout = str(file) == "-"
    if to_stdout and as_json:
        raise click.UsageError("With --json the content cannot go to standard output.")
    path = Path("-") if to_stdout else _destination(target, file)
    with connect() as server:
        content: Content = find(server, target)
        with Progress(target.name, quiet=as_json) as progress:
            progress.expects(content.size)
            to_stream = to_stdout or (path.exists() and not path.is_file())
            if to_stream:
                # A device or a pipe is written to; a file in its place would take it away.
                with click.open_file(str(path), "wb") as stream:
                    content = get_to_stream(server, target, stream, progress)
            else:
                goes_on(click.get_current_context())
                content = get_to_file(server, target, path, progress, content=content)
    if as_json:
        print_json(
            {
                "file": str(path),
                "id": content.object_id,
                "content_hash": content.content_hash,
                "size_bytes": content.size,
            }
        )
    elif not to_stream:
        click.echo(f"{path}: {content.size} bytes, {content.content_hash}")


@command.command(
    epilog="\b\nExamples:\n  juststorage objects put report.pdf docs/acme/2026/report.pdf\n"
    "  pg_dump db | juststorage objects put - docs/acme/db.sql --storage-class cold\n"
    "  juststorage objects put new.json docs/acme/state.json --if-match sha256:1b4f...\n\n"
    "When the connection breaks, a file of 64 MiB or more goes on from what the server has, and\n"
    "a smaller one is sent again, as a whole; it is stored once all the same. What comes from a\n"
    f"pipe cannot be sent again: that is exit code 1.\n\n{EXIT_CODES}"
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("target", metavar="NAMESPACE/TENANT/KEY", type=TARGET)
@server_options
@_storage_class
@click.option("--content-type", help="Its media type; by default guessed from the name of FILE.")
@click.option("--metadata", help="A JSON object to keep with it.")
@click.option("--if-absent", is_flag=True, help="Only where there is none yet.")
@click.option("--if-match", metavar="HASH", help="Only in place of the one with this content hash.")
@json_option()
@exits
def put(
    connect: Connect,
    file: Path,
    target: Target,
    *,
    storage_class: str | None,
    content_type: str | None,
    metadata: str | None,
    if_absent: bool,
    if_match: str | None,
    as_json: bool,
) -> None:
    """Store a file, or standard input for `-`.

    It takes the place of what has that key, if anything has.
    """
    from juststorage_api._client._upload import put

    if not target.by_key:
        raise click.UsageError("An upload needs a key: NAMESPACE/TENANT/KEY.")
    if if_absent and if_match:
        raise click.UsageError("--if-absent and --if-match contradict each other.")
    if metadata is not None:
        metadata = _ascii_json(metadata)
    guessed = content_type or mimetypes.guess_type(file.name)[0] or _CONTENT_TYPE
    conditions = {
        "content-type": guessed,
        "x-object-metadata": metadata,
        "if-none-match": "*" if if_absent else None,
        "if-match": f'"{if_match}"' if if_match else None,
    }
    headers = {name: value for name, value in conditions.items() if value is not None}
    with connect() as server, click.open_file(str(file), "rb") as opened:
        size = os.fstat(opened.fileno()).st_size if opened.seekable() else None
        if size:
            _knock(server, target)
        with Progress(target.name, quiet=as_json) as progress, about(str(target)):
            progress.expects(size or 0)
            stored = put(
                server,
                target,
                opened,
                progress=progress,
                headers=headers,
                storage_class=storage_class,
            )
    if as_json:
        print_json(stored)
    else:
        click.echo(f"{target}: {stored['size_bytes']} bytes, {stored['content_hash']}")


@command.command(
    epilog="\b\nExamples:\n  juststorage objects rm docs/acme/2026/report.pdf\n"
    f"  juststorage objects rm --missing-ok docs/acme/a docs/acme/b\n\n{EXIT_CODES}"
)
@click.argument("targets", metavar="OBJECT...", type=TARGET, nargs=-1, required=True)
@server_options
@click.option("--missing-ok", is_flag=True, help="What is not there is fine.")
@json_option()
@exits
def rm(connect: Connect, targets: tuple[Target, ...], *, missing_ok: bool, as_json: bool) -> None:
    """Delete objects. Their bytes go when nothing else refers to them."""
    deleted: list[str] = []
    missing: list[str] = []
    so_far(click.get_current_context(), deleted=deleted, missing=missing)
    with connect() as server, wants_tenant("id:ID@TENANT"):
        for target in targets:
            patience = server.patience()
            try:
                server.call("DELETE", target.path, params=target.query, patience=patience)
            except NotFound:
                # After a try without an answer it is most likely our own deletion that we see.
                if patience.tries == 0:
                    missing.append(str(target))
                    continue
            deleted.append(str(target))
            if not as_json:
                click.echo(f"deleted {target}")
    if missing and not missing_ok:
        raise NotFound(f"there is no such object: {', '.join(missing)}")
    if as_json:
        print_json({"deleted": deleted, "missing": missing})


@command.command(
    epilog="\b\nExample:\n"
    f"  juststorage objects cp docs/acme/draft.pdf docs/acme/final.pdf\n\n{EXIT_CODES}"
)
@click.argument("source", metavar="OBJECT", type=TARGET)
@click.argument("target", metavar="NAMESPACE/TENANT/KEY", type=TARGET)
@server_options
@_storage_class
@json_option()
@exits
def cp(
    connect: Connect, source: Target, target: Target, *, storage_class: str | None, as_json: bool
) -> None:
    """Copy an object within its tenant.

    The server does it, and moves no bytes within a storage class. Where another object has the new
    key already, it stays, and the copy is refused.
    """
    from juststorage_api._client._download import find

    if not target.by_key:
        raise click.UsageError("A copy needs a key: NAMESPACE/TENANT/KEY.")
    if source.tenant not in {None, target.tenant}:
        raise click.UsageError("A copy stays within its tenant; use `get` and `put`.")
    asked = {"namespace": target.namespace, "key": target.key, "storage_class": storage_class}
    with connect() as server, about(str(target)):
        object_id = source.object_id or find(server, source).object_id
        copied = server.json(
            "POST",
            f"/v1/objects/{object_id}/copy",
            params={"tenant_id": str(target.tenant)},
            headers={"idempotency-key": str(uuid4())},
            json={name: value for name, value in asked.items() if value is not None},
        )
    if as_json:
        print_json(copied)
    else:
        click.echo(f"{target}: {copied['size_bytes']} bytes, {copied['content_hash']}")


def _document(server: Server, target: Target) -> dict[str, Any]:
    from juststorage_api._client._download import find

    if target.by_key:
        target = target.with_id(find(server, target).object_id)
    path = f"{target.path}/metadata"
    try:
        with wants_tenant("id:ID@TENANT"):
            document: dict[str, Any] = server.json("GET", path, params=target.query)
    except NotFound as error:
        raise NotFound(f"{target}: there is no such object") from error
    return document


def _knock(server: Server, target: Target) -> None:
    """Hear of a wrong URL or key before the whole file has been sent.

    Whoever may write need not be allowed to read: other refusals say nothing about the upload.
    """
    try:
        server.call("HEAD", target.path)
    except NotFound:
        pass
    except JustStorageError as error:
        if not isinstance(error, Denied) or isinstance(error, Unauthenticated):
            raise server.explained(error, target.path) from error


def _destination(target: Target, file: Path | None) -> Path:
    directory = Path() if file is None else file
    if file is not None and not file.is_dir():
        # Through links: it is the file that gets other bytes, not the link another meaning.
        return file.resolve() if file.is_symlink() and file.is_file() else file
    if target.name in {"", ".", ".."}:
        raise click.UsageError(f"{target} has no name for a file: say which FILE.")
    return directory / target.name


def _ascii_json(text: str) -> str:
    try:
        tree = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.UsageError(f"--metadata is not a JSON object: {error}.") from None
    return json.dumps(tree)


def _line(each: dict[str, Any]) -> str:
    name = f"{each['namespace']}/{each['tenant_id']}/{each['key']}"
    if each["key"] is None:
        name = f"id:{each['id']}@{each['tenant_id']}"
    updated = each["updated_at"][:19]
    return f"{each['size_bytes']:>14}  {updated}  {each['storage_class']:4}  {name}"
