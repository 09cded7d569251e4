"""`juststorage gc`: collect garbage now, say what there is, or do nothing else."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NoReturn

import anyio
import click
import msgspec

from juststorage.cli._json import json_option, print_json
from juststorage.cli._main import OWN_PROCESS
from juststorage.cli._options import ConfigSource, config_options
from juststorage.config import Config
from juststorage.errors import ReadOnly
from juststorage.metrics import BUILD_INFO
from juststorage.usecases import CollectionReport

if TYPE_CHECKING:
    from juststorage.runtime import Runtime
    from juststorage.runtime._metrics_server import MetricsServer

__all__ = ["command"]

_log = logging.getLogger("juststorage.gc")

_NICE = 10
"""What a collector of its own gives way by: it has time, and those who download have not."""


@click.group(name="gc", epilog="\b\nExample:\n  juststorage gc run --dry-run")
def command() -> None:
    """Collect what nobody refers to any more."""


@command.command(
    epilog="\b\nExample:\n  juststorage gc run --dry-run --json\n\n"
    "\b\nExit codes: 0 done; 1 something failed and is tried again by the next run, or much is\n"
    "stored that the database does not know; 2 wrong configuration.",
)
@config_options
@click.option("--dry-run", is_flag=True, help="Only count what would go.")
@click.option("--grace-s", type=click.FloatRange(min=0), help="Instead of the configured grace.")
@click.option(
    "--adopt-unknown",
    is_flag=True,
    help="Look at everything that is stored, and take what the database does not know, however"
    " much it is. It is lost then: see first that this is the right database.",
)
@json_option()
@click.pass_context
def run(
    ctx: click.Context,
    *,
    source: ConfigSource,
    dry_run: bool,
    grace_s: float | None,
    adopt_unknown: bool,
    as_json: bool,
) -> None:
    """Collect once, and say what was done.

    Safe beside a running service and other collectors, with any grace. Refused in read-only mode.
    """
    from juststorage.runtime import logging_to_stderr

    config = source.load()
    if dry_run and adopt_unknown:
        raise click.UsageError("--dry-run counts garbage: it has no use for --adopt-unknown")
    _give_way(ctx)
    with logging_to_stderr(config.log):
        report = anyio.run(_run, config, dry_run, grace_s, adopt_unknown)
    _print(report, as_json=as_json)
    ctx.exit(1 if report.errors or report.unknown else 0)


@command.command(
    epilog="\b\nExample:\n  juststorage gc status\n\n"
    "\b\nExit codes: 0 shown; 1 it failed; 2 wrong configuration.",
)
@config_options
@json_option()
def status(source: ConfigSource, as_json: bool) -> None:
    """Show what a run would collect now, and what it would with a grace of 0."""
    from juststorage.runtime import logging_to_stderr

    config = source.load()
    with logging_to_stderr(config.log):
        due = anyio.run(_run, config, True, None)
        all_ = anyio.run(_run, config, True, 0.0)
    shown = {
        "enabled": config.gc.enabled,
        "policy": config.gc.policy,
        "interval_s": config.gc.interval_s,
        "grace_s": config.gc.grace_s,
        "due": {"blobs": due.removed, "bytes": due.bytes_removed},
        "without_references": {"blobs": all_.removed, "bytes": all_.bytes_removed},
    }
    if as_json:
        print_json(shown)
        return
    click.echo(f"policy {config.gc.policy}, every {config.gc.interval_s:g} s")
    click.echo(f"due now: {due.removed} blobs, {due.bytes_removed} bytes")
    click.echo(f"without references: {all_.removed} blobs, {all_.bytes_removed} bytes")


@command.command(
    epilog="\b\nExample:\n  juststorage gc worker --config juststorage.toml\n\n"
    "\b\nExit codes: 0 ended by a signal; 1 given up; 2 wrong configuration.",
)
@config_options
@json_option("Log JSON lines, on standard error, whatever log.format says.")
@click.pass_context
def worker(ctx: click.Context, source: ConfigSource, as_json: bool) -> None:
    """Collect again and again until SIGTERM or SIGINT, whatever `gc.enabled` says.

    With `gc.metrics_port` it answers GET /metrics and GET /health there.
    """
    from juststorage.runtime import logging_to_stderr

    config = source.load({"log": {"format": "json"}} if as_json else None)
    _give_way(ctx)
    with logging_to_stderr(config.log):
        code = anyio.run(_work, config)
    ctx.exit(code)


def _give_way(ctx: click.Context) -> None:
    """Let every other process of the machine go first; nothing, where others share this one."""
    if ctx.find_root().obj == OWN_PROCESS:
        os.setpriority(os.PRIO_PROCESS, 0, max(_NICE, os.getpriority(os.PRIO_PROCESS, 0)))


async def _run(
    config: Config, dry_run: bool, grace_s: float | None, adopt_unknown: bool = False
) -> CollectionReport:
    from juststorage.runtime import make_collector, open_runtime

    async with open_runtime(config, create=False) as runtime:
        if runtime.read_only and not dry_run:
            raise ReadOnly("the service is in read-only mode: nothing is collected")
        collector = make_collector(runtime)
        return await collector.run(dry_run=dry_run, grace_s=grace_s, adopt_unknown=adopt_unknown)


async def _work(config: Config) -> int:
    from juststorage.runtime import open_runtime

    is_open, ended = anyio.Event(), anyio.Event()
    problems: list[str] = []
    failure: Exception | None = None

    def give_up(problem: str) -> None:
        problems.append(problem)
        ended.set()

    # Both are there while the store is still opened, which takes as long as the database does.
    with (
        anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals,
        _metrics_server(config) as server,
    ):
        async with anyio.create_task_group() as tasks:
            scope = tasks.cancel_scope
            tasks.start_soon(_end_after_signal, signals, ended, is_open, scope)
            try:
                async with open_runtime(
                    config, create=False, collect=True, on_fatal=give_up
                ) as runtime:
                    is_open.set()
                    if server is not None:
                        _show(runtime, server)
                        tasks.start_soon(_beat_forever, server)
                    _log.info("collecting; end with SIGTERM")
                    await ended.wait()
            except Exception as error:  # noqa: BLE001  raised again, where no group wraps it
                failure = error
            scope.cancel()
    if failure is not None:
        raise failure
    for problem in problems:
        _log.critical("stopped: %s", problem)
    return 1 if problems else 0


def _metrics_server(config: Config) -> AbstractContextManager[MetricsServer | None]:
    if not config.gc.metrics_port:
        return nullcontext()
    from juststorage.runtime._metrics_server import MetricsServer

    return MetricsServer(config.gc.metrics_host, config.gc.metrics_port)


async def _beat_forever(server: MetricsServer) -> NoReturn:
    while True:
        server.beat()
        await anyio.sleep(1)


def _show(runtime: Runtime, server: MetricsServer) -> None:
    options = runtime.config.metrics
    if options.require_auth:
        _log.warning(
            "metrics.require_auth: the collector asks nobody for a key, so it tells no metrics"
        )
    elif options.enabled:
        sheet, now = runtime.sheet, runtime.clock.now()
        sheet.set_common(BUILD_INFO.name, 1, *next(BUILD_INFO.series()))
        sheet.set_common("juststorage_start_time_seconds", now.timestamp())
        server.show(sheet.table)


async def _end_after_signal(
    signals: AsyncIterator[signal.Signals],
    ended: anyio.Event,
    is_open: anyio.Event,
    opening: anyio.CancelScope,
) -> None:
    async for _ in signals:
        ended.set()
        if not is_open.is_set():
            opening.cancel()


def _print(report: CollectionReport, *, as_json: bool) -> None:
    if as_json:
        print_json(report)
        return
    counts = msgspec.structs.asdict(report)
    would = "would be " if report.dry_run else ""
    click.echo(f"{would}removed: {report.removed} blobs, {report.bytes_removed} bytes")
    for name in ("reaped", "restored", "purged", "swept", "adopted", "buried", "forgotten"):
        if counts[name]:
            click.echo(f"{name}: {counts[name]}")
    if report.unknown:
        click.echo(
            f"left alone: {report.unknown} blobs that the database does not know. Is it the right"
            " one? If it is, --adopt-unknown takes them"
        )
    if report.errors:
        click.echo(f"errors: {report.errors} (see the log; the next run tries again)")
    if report.more:
        click.echo("more is left: the run's limit was reached")
