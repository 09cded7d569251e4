"""`juststorage fsck`: the invariants of the storage protocol, checked on a store in use."""

from __future__ import annotations

from collections.abc import Iterator

import anyio
import click

from juststorage.cli._json import fail, json_option, print_json_line
from juststorage.cli._options import ConfigSource, config_options
from juststorage.config import Config
from juststorage.errors import JustStorageError
from juststorage.usecases import Finding

__all__ = ["command"]


@click.command(
    name="fsck",
    epilog="\b\nExamples:\n  juststorage fsck\n  juststorage fsck --deep --repair --json\n\n"
    "\b\nExit codes: 0 clean; 1 damage found (repaired or not); 2 could not run.",
)
@config_options
@click.option("--deep", is_flag=True, help="Read all bytes and compare their hashes.")
@click.option(
    "--deep-mib-s",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Bytes that --deep reads per second, MiB; 0 for no limit.",
)
@click.option("--repair", is_flag=True, help="Mend what can be; never removes bytes in use.")
@json_option("Print a JSON object a line.")
@click.pass_context
def command(
    ctx: click.Context,
    *,
    source: ConfigSource,
    deep: bool,
    deep_mib_s: int,
    repair: bool,
    as_json: bool,
) -> None:
    """Check that nothing is lost, miscounted or left over.

    Where the data directory is the service's own, its metrics show how the last audit ended.

    Runs beside a service in use, in constant memory, without false alarms: what looks wrong is
    looked at again. Repair is idempotent.
    """
    from juststorage.runtime import logging_to_stderr

    try:
        config = source.load()
        with logging_to_stderr(config.log):
            found = anyio.run(_audit, config, deep, deep_mib_s * 2**20, repair, as_json)
    except JustStorageError as error:
        fail(ctx, error)
        ctx.exit(2)
    if not as_json:
        click.echo(_counted(found))
    ctx.exit(1 if found else 0)


async def _audit(config: Config, deep: bool, bytes_s: int, repair: bool, as_json: bool) -> int:
    from juststorage.runtime import FsckResult, make_auditor, open_runtime

    found = repaired = 0
    async with open_runtime(config, create=False) as runtime:
        auditor = make_auditor(runtime, deep=deep, deep_bytes_s=bytes_s, repair=repair)
        async for finding in auditor.findings():
            found += 1
            repaired += finding.repaired
            if as_json:
                print_json_line(finding)
            else:
                for line in _lines(finding):
                    click.echo(line)
        finished_at = runtime.clock.now().timestamp()
    result = FsckResult(finished_at=finished_at, findings=found, repaired=repaired)
    if not result.keep(config.data_dir):
        click.echo(
            f"juststorage: {config.data_dir} cannot be written, so no metric will show this result;"
            " name the service's own directory with --data-dir",
            err=True,
        )
    return found


def _counted(found: int) -> str:
    if not found:
        return "clean"
    return "1 finding" if found == 1 else f"{found} findings"


def _lines(finding: Finding) -> Iterator[str]:
    """A finding for a person, then the objects that suffer from it."""
    mended = " (repaired)" if finding.repaired else ""
    yield f"{finding.invariant} {finding.subject}: {finding.detail}{mended}"
    for each in finding.affected:
        key = "" if each.key is None else f", key {each.key!r}"
        yield f"  object {each.id}: tenant {each.tenant_id}, namespace {each.namespace}{key}"
    more = finding.affected_count - len(finding.affected)
    if more > 0:
        yield f"  and {more} more"
