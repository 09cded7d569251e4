"""`juststorage migrate`: the schema of the metadata store, changed on purpose."""

from __future__ import annotations

import click
import msgspec

from juststorage.cli._options import ConfigSource, config_options
from juststorage.plugins import MigrationStatus, Migrator

__all__ = ["command"]

_EXIT_CODES = "\b\nExit codes: 0 done; 1 it failed, nothing was changed; 2 wrong configuration."


@click.group(name="migrate", epilog="\b\nExample:\n  juststorage migrate status")
def command() -> None:
    """Bring the metadata store's schema to this release's, or back."""


@command.command(epilog=f"\b\nExample:\n  juststorage migrate up\n\n{_EXIT_CODES}")
@config_options
def up(source: ConfigSource) -> None:
    """Go to this release's schema. Safe from several places at once, and when there already."""
    migrator = _migrator(source)
    before = migrator.status()
    migrator.up()
    _say(before, migrator.status())


@command.command(epilog=f"\b\nExample:\n  juststorage migrate down 0001\n\n{_EXIT_CODES}")
@click.argument("revision")
@config_options
def down(source: ConfigSource, revision: str) -> None:
    """Go back to REVISION; `base` means no schema at all, and loses all metadata."""
    migrator = _migrator(source)
    before = migrator.status()
    migrator.down(revision)
    _say(before, migrator.status())


@command.command(
    epilog="\b\nExample:\n  juststorage migrate status --json\n\n"
    "\b\nExit codes: 0 up to date; 1 there is something to do; 2 wrong configuration."
)
@config_options
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def status(ctx: click.Context, source: ConfigSource, as_json: bool) -> None:
    """Show where the schema stands."""
    found = _migrator(source).status()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        click.echo(f"current: {found.current or 'none'}, this release: {found.head}")
        for revision in found.pending:
            click.echo(f"to do: {revision}")
    ctx.exit(1 if found.pending else 0)


@command.command(epilog=f"\b\nExample:\n  juststorage migrate sql > up.sql\n\n{_EXIT_CODES}")
@config_options
def sql(source: ConfigSource) -> None:
    """Print the statements that `up` would run, for people who run them by hand."""
    click.echo(_migrator(source).sql())


def _migrator(source: ConfigSource) -> Migrator:
    from juststorage.runtime import make_migrator

    return make_migrator(source.load())


def _say(before: MigrationStatus, after: MigrationStatus) -> None:
    if before.current == after.current:
        click.echo(f"nothing to do: the schema is {after.current or 'none'}")
    else:
        click.echo(f"{before.current or 'none'} -> {after.current or 'none'}")
