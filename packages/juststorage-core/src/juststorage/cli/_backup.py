"""`juststorage backup`: keep a copy of everything, verify it, and put it back."""

from __future__ import annotations

import functools
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Concatenate, Final, ParamSpec, TypeVar

import anyio
import click
import msgspec

from juststorage.cli._json import goes_on, json_option, print_json, print_json_line
from juststorage.cli._options import ConfigSource, config_options
from juststorage.cli._progress import Progress, readable_bytes
from juststorage.cli._tables import table
from juststorage.config import Audit, Config
from juststorage.usecases import BackupReport, Damage, Manifest, Manifests, RestoreReport
from juststorage.usecases._backup._format import MISSING_NAMED_MAX

__all__ = ["command"]

P = ParamSpec("P")
R = TypeVar("R")

_JOBS: Final = 8
_PLACE: Final = (
    "DIR is the directory that holds the backups; without it they are in the blob stores that"
    " [backup] configures."
)


@click.group(
    name="backup",
    epilog="\b\nExamples:\n  juststorage backup create /mnt/backup\n"
    "  juststorage backup verify /mnt/backup\n  juststorage backup restore /mnt/backup\n\n"
    "docs/backup.md has what a backup is, and point-in-time recovery with PostgreSQL's own tools.",
)
def command() -> None:
    """Keep a copy of everything, verify it, and put it back."""


def _place(wrapped: Callable[P, R]) -> Callable[..., R]:
    """Add DIR, the configuration, and what all of these commands take."""

    @click.argument("directory", metavar="[DIR]", required=False, type=click.Path(path_type=Path))
    @config_options
    @json_option()
    @functools.wraps(wrapped)
    def with_place(*args: Any, **kwargs: Any) -> R:
        return wrapped(*args, **kwargs)

    return with_place


def _jobs(wrapped: Callable[P, R]) -> Callable[P, R]:
    return click.option(
        "--jobs", type=click.IntRange(1, 64), default=_JOBS, show_default=True, help="At once."
    )(wrapped)


@command.command(
    epilog=f"{_PLACE}\n\n\b\nExamples:\n  juststorage backup create /mnt/backup\n"
    "  juststorage backup create --config juststorage.toml --json\n\n"
    "\b\nExit codes: 0 done; 1 it failed, or blobs of the service are damaged, which are named;\n"
    "2 wrong usage or configuration."
)
@_place
@_jobs
@click.pass_context
def create(
    ctx: click.Context, *, source: ConfigSource, directory: Path | None, as_json: bool, jobs: int
) -> None:
    """Back up metadata and blobs, beside the service in use.

    Copies what the earlier backups there do not have yet. One that was interrupted is run again,
    and goes on where it was. Until it ends no collector removes what it needs.
    """
    goes_on(ctx)
    report = _run(_create, source.load(), directory, jobs, quiet=as_json)
    if as_json:
        print_json(report)
    else:
        click.echo(
            f"backup {report.id} of {_counted(report.records)}: {report.copied} contents copied"
            f" ({readable_bytes(report.bytes_copied)}), {report.found} were there"
        )
    _tell_missing("not backed up", report)
    ctx.exit(1 if report.missing_count else 0)


@command.command(
    name="list",
    epilog=f"{_PLACE}\n\n\b\nExample:\n  juststorage backup list /mnt/backup\n\n"
    "\b\nExit codes: 0 listed; 1 a manifest cannot be read; 2 wrong usage or configuration.",
)
@_place
@click.pass_context
def list_(
    ctx: click.Context, *, source: ConfigSource, directory: Path | None, as_json: bool
) -> None:
    """List the backups, the oldest first."""
    there = _run(_list, source.load(), directory)
    if as_json:
        for manifest in there.readable:
            print_json_line(_summary(manifest))
    else:
        rows = [
            [
                each.id,
                each.taken_at.isoformat(timespec="seconds"),
                str(each.records.get("objects", 0)),
                readable_bytes(sum(each.blob_bytes.values())),
                str(len(each.missing)) if each.missing else "",
            ]
            for each in there.readable
        ]
        click.echo(table(["ID", "TAKEN AT", "OBJECTS", "BLOBS", "DAMAGED"], rows))
    _tell_unreadable(there)
    ctx.exit(1 if there.unreadable else 0)


@command.command(
    epilog=f"{_PLACE}\n\n\b\nExamples:\n  juststorage backup verify /mnt/backup\n"
    "  juststorage backup verify --quick --id 0190163d --json /mnt/backup\n\n"
    "\b\nExit codes: 0 all of it can be restored; 1 it is damaged, or the check failed;\n"
    "2 wrong usage or configuration."
)
@_place
@_jobs
@click.option("--id", "backup_id", help="Which one, or how its id begins; else the newest.")
@click.option("--quick", is_flag=True, help="Look at the sizes of blobs only, read none.")
@click.option(
    "--discard-damaged",
    is_flag=True,
    help="Remove what is damaged from the backup: the next `create` copies it anew.",
)
@click.pass_context
def verify(
    ctx: click.Context,
    *,
    source: ConfigSource,
    directory: Path | None,
    as_json: bool,
    jobs: int,
    backup_id: str | None,
    quick: bool,
    discard_damaged: bool,
) -> None:
    """Read a backup whole, and compare every hash. Needs no service and no database.

    Fails without --id where a manifest cannot be read, because it may be that of the newest one.
    """

    def tell(damage: Damage) -> None:
        if as_json:
            print_json_line(damage)
        else:
            gone = " (discarded)" if damage.discarded else ""
            click.echo(f"{damage.subject}: {damage.detail}{gone}")

    manifest, damages = _run(
        _verify,
        source.load(),
        directory,
        tell,
        backup_id=backup_id,
        jobs=jobs,
        quick=quick,
        discard=discard_damaged,
        quiet=as_json,
    )
    if as_json:
        print_json_line({"id": manifest.id, "damages": damages})
    elif damages:
        click.echo(f"backup {manifest.id}: {damages} damaged")
    else:
        click.echo(f"backup {manifest.id} of {_counted(manifest.records)}: whole")
    ctx.exit(1 if damages else 0)


@command.command(
    epilog=f"{_PLACE}\n\n\b\nExamples:\n  juststorage backup restore /mnt/backup\n"
    "  juststorage backup restore --id 0190163d --config juststorage.toml /mnt/backup\n\n"
    "\b\nExit codes: 0 done; 1 it failed, or blobs are missing, which are named; run it again;\n"
    "2 wrong usage or configuration."
)
@_place
@_jobs
@click.option(
    "--id",
    "backup_id",
    help="Which one, or how its id begins; else the one whose restore was interrupted, or the"
    " newest.",
)
@click.option(
    "--accept-missing",
    is_flag=True,
    help="End the restore although blobs are missing: their objects cannot be read.",
)
@click.pass_context
def restore(
    ctx: click.Context,
    *,
    source: ConfigSource,
    directory: Path | None,
    as_json: bool,
    jobs: int,
    backup_id: str | None,
    accept_missing: bool,
) -> None:
    """Put a backup back into a deployment that has no objects. Stop its service first.

    Whatever the metadata store and the blob stores are: they need not be those that the backup was
    taken from. One that was interrupted is run again, and goes on where it was. Blobs that are
    placed already, and whole, stay as they are; those that the backup does not know stay too.

    Fails without --id where a manifest cannot be read, because it may be that of the newest one.
    """
    goes_on(ctx)
    report = _run(
        _restore,
        source.load(),
        directory,
        backup_id=backup_id,
        jobs=jobs,
        accept_missing=accept_missing,
        quiet=as_json,
    )
    if as_json:
        print_json(report)
    else:
        how = "restored" if report.ended else "not restored yet"
        click.echo(
            f"backup {report.id} of {_counted(report.records)} {how}: {report.copied} blobs copied"
            f" ({readable_bytes(report.bytes_copied)}), {report.found} were there"
        )
    _tell_missing("missing", report)
    ctx.exit(1 if report.missing_count else 0)


# -- work -------------------------------------------------------------------------------------


async def _create(
    config: Config, directory: Path | None, jobs: int, *, quiet: bool
) -> BackupReport:
    from juststorage.runtime import make_backup, open_backup_place, open_runtime

    async with (
        open_runtime(config, create=False) as runtime,
        open_backup_place(config, directory, create=True) as place,
    ):
        with Progress("backup", quiet=quiet) as bar:
            return await make_backup(runtime, place, bar, jobs=jobs).run()


async def _list(config: Config, directory: Path | None) -> Manifests:
    from juststorage.runtime import open_backup_place

    async with open_backup_place(config, directory) as place:
        return await place.target.manifests()


async def _verify(
    config: Config,
    directory: Path | None,
    tell: Callable[[Damage], None],
    *,
    backup_id: str | None,
    jobs: int,
    quick: bool,
    discard: bool,
    quiet: bool,
) -> tuple[Manifest, int]:
    from juststorage.runtime import make_verification, open_backup_place

    damages = 0
    async with open_backup_place(config, directory) as place:
        await place.target.learn()
        there = await place.target.manifests()
        if discard:
            left = await place.target.discard_manifests(there)
            for each in there.unreadable:
                if each not in left.unreadable:
                    damages += 1
                    tell(Damage(subject=each.locator, detail=each.detail, discarded=True))
            there = left
        manifest = there.choose(backup_id)
        _tell_unreadable(there)
        with Progress("verify", quiet=quiet) as bar:
            verifying = make_verification(place, bar, jobs=jobs, quick=quick, discard=discard)
            async for damage in verifying.run(manifest):
                damages += 1
                tell(damage)
    return manifest, damages


async def _restore(
    config: Config,
    directory: Path | None,
    *,
    backup_id: str | None,
    jobs: int,
    accept_missing: bool,
    quiet: bool,
) -> RestoreReport:
    from juststorage.runtime import make_restore, open_backup_place, open_runtime

    # What is put back has its events with it; to put it back is none.
    config = msgspec.structs.replace(config, audit=Audit(table=False))
    async with open_backup_place(config, directory) as place:
        await place.target.learn()
        there = await place.target.manifests()
        if backup_id is not None or not there.readable:
            there.choose(backup_id)  # what is not there is told before anything is made
        async with open_runtime(config) as runtime:
            with Progress("restore", quiet=quiet) as bar:
                restoring = make_restore(
                    runtime, place, bar, jobs=jobs, accept_missing=accept_missing
                )
                manifest = await restoring.choose(there, backup_id)
                _tell_unreadable(there)
                return await restoring.run(manifest)


def _run(
    work: Callable[Concatenate[Config, P], Awaitable[R]],
    config: Config,
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    """Run it; SIGTERM ends it as Ctrl-C does, so that it lets go of what it holds."""
    from juststorage.runtime import logging_to_stderr

    async def main() -> R:
        return await work(config, *args, **kwargs)

    with logging_to_stderr(config.log), _sigterm_as_interrupt():
        return anyio.run(main)


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    previous = signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _tell_missing(what: str, report: BackupReport | RestoreReport) -> None:
    for problem in report.missing:
        click.echo(f"juststorage: {what}: {problem}", err=True)
    if report.missing_count > MISSING_NAMED_MAX:
        click.echo(f"juststorage: {what}: {report.missing_count} in all", err=True)


def _tell_unreadable(there: Manifests) -> None:
    for each in there.unreadable:
        click.echo(f"juststorage: a manifest cannot be read: {each}", err=True)


def _counted(records: dict[str, int]) -> str:
    objects = records.get("objects", 0)
    return "1 object" if objects == 1 else f"{objects} objects"


def _summary(manifest: Manifest) -> dict[str, Any]:
    shown = msgspec.structs.asdict(manifest)
    del shown["segments"], shown["format"]
    return shown
