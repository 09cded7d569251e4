"""`juststorage migrate`: the schema of the metadata store, changed on purpose."""

from __future__ import annotations

import click
import msgspec

from juststorage.cli._json import json_option, print_json
from juststorage.cli._options import ConfigSource, config_options
from juststorage.errors import Misconfigured, Unavailable
from juststorage.plugins import MigrationStatus, Migrator

__all__ = ["command"]

_EXIT_CODES = "\b\nExit codes: 0 done; 1 it failed, nothing was changed; 2 it could not begin."


@click.group(name="migrate", epilog="\b\nExample:\n  juststorage migrate status")
def command() -> None:
    """Bring the metadata store's schema to this release's, or back."""


@command.command(epilog=f"\b\nExample:\n  juststorage migrate up\n\n{_EXIT_CODES}")
@config_options
@json_option()
def up(source: ConfigSource, as_json: bool) -> None:
    """Go to this release's schema. Safe from several places at once, and when there already.

    Says which store it changed: give it the same --config and --data-dir as the service.

    Without a configuration it makes the data directory, as `serve` would.
    """
    from juststorage.runtime import logging_to_stderr, make_data_dir, make_migrator

    config = source.load()
    migrator = make_migrator(config)
    if config.embedded_default:
        make_data_dir(config.data_dir)
    before = _status(migrator)
    with logging_to_stderr(config.log):
        migrator.up()
    _say(migrator, before, as_json)


@command.command(epilog=f"\b\nExample:\n  juststorage migrate down 0001 --yes\n\n{_EXIT_CODES}")
@click.argument("revision")
@config_options
@click.option("--yes", is_flag=True, help="Yes, lose what only the newer schema can hold.")
@json_option()
def down(source: ConfigSource, revision: str, yes: bool, as_json: bool) -> None:
    """Go back to REVISION; `base` means no schema at all, and loses all metadata.

    What only the newer schema can hold is lost, so back up first, and say so with --yes.
    """
    from juststorage.runtime import logging_to_stderr

    migrator = _migrator(source)
    before = _status(migrator)
    if before.current not in {None, revision} and not yes:
        raise Misconfigured(f"{_loss(before.current, revision)}; back up, then repeat with --yes")
    with logging_to_stderr(source.load().log):
        migrator.down(revision)
    _say(migrator, before, as_json)


@command.command(
    epilog="\b\nExample:\n  juststorage migrate status --json\n\n"
    "\b\nExit codes: 0 up to date; 1 there is something to do; 2 it could not be told."
)
@config_options
@json_option()
@click.pass_context
def status(ctx: click.Context, source: ConfigSource, as_json: bool) -> None:
    """Show where the schema stands."""
    migrator = _migrator(source)
    found = _status(migrator)
    if as_json:
        print_json({"store": migrator.place(), **msgspec.to_builtins(found)})
    else:
        click.echo(f"store: {migrator.place()}")
        click.echo(f"current: {found.current or 'none'}, this release: {found.head}")
        for revision in found.pending:
            click.echo(f"to do: {revision}")
    ctx.exit(1 if found.pending else 0)


@command.command(epilog=f"\b\nExample:\n  juststorage migrate sql > up.sql\n\n{_EXIT_CODES}")
@config_options
@json_option()
def sql(source: ConfigSource, as_json: bool) -> None:
    """Print the statements that `up` would run, for people who run them by hand."""
    from juststorage.runtime import make_migrator

    statements = make_migrator(source.load()).sql()
    if as_json:
        print_json({"sql": statements})
    else:
        click.echo(statements)


def _migrator(source: ConfigSource) -> Migrator:
    from juststorage.runtime import make_migrator, require_data_dir

    config = source.load()
    migrator = make_migrator(config)
    require_data_dir(config)
    return migrator


def _status(migrator: Migrator) -> MigrationStatus:
    """Where the schema stands.

    Raises:
        Misconfigured: Also where the database does not answer: nothing has begun, and exit code 1
            would read like a migration that failed, or one that is due.
    """
    try:
        return migrator.status()
    except Unavailable as error:
        raise Misconfigured(error.detail) from error


def _loss(current: str | None, revision: str) -> str:
    if revision == "base":
        return "this drops every table: all objects, their metadata and all API keys are lost"
    return f"going back from {current} to {revision} may lose what {revision} has no place for"


def _say(migrator: Migrator, before: MigrationStatus, as_json: bool) -> None:
    place, after = migrator.place(), migrator.status()
    if as_json:
        told = {"store": place, "before": before.current}
        print_json({**told, **msgspec.to_builtins(after)})
    elif before.current == after.current:
        click.echo(f"{place}: nothing to do, the schema is {after.current or 'none'}")
    else:
        # The place: without a configuration, or with another than was meant, it is a surprise.
        click.echo(f"{place}: {before.current or 'none'} -> {after.current or 'none'}")
