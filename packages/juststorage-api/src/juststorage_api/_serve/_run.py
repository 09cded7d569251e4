"""Run a server: in this process, or in several below it."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib import import_module
from typing import Final

from juststorage.errors import JustStorageError, Misconfigured
from juststorage.runtime import check_selection, log_fields
from juststorage_api._meters import table
from juststorage_api._serve._address import HeldAddress
from juststorage_api._serve._limits import raise_limits
from juststorage_api._serve._settings import Settings
from juststorage_api._serve._supervisor import Link, Supervisor, explain
from juststorage_api._serve._worker import Worker

__all__ = ["run"]

_AUTO_WORKERS_MAX: Final = 2
"""Two answer 1.4 times as many small downloads as one where they have a processor each; a third has
to be worth its memory and its share of the database, which only who deploys it can say."""


def run(settings: Settings) -> int:
    """Serve until a signal.

    One worker runs in this very process; more run below a supervisor.

    Returns:
        The exit code: 0 after an orderly end.

    Raises:
        Misconfigured: It could not start; one sentence says why.
    """
    connections_max = raise_limits()
    server = settings.config.server
    address = HeldAddress.take(server.host, server.port)
    try:
        config, admin_key = settings.with_admin_key()
        count = server.workers or min(_AUTO_WORKERS_MAX, len(os.sched_getaffinity(0)))
        if count == 1:
            worker = Worker(
                config=config,
                address=address,
                connections_max=connections_max,
                admin_key=admin_key,
                sheet=table(1).worker(0),
            )
            return _run_alone(worker)

        shared = table(count)

        def work(link: Link) -> int:
            log_fields.set({"worker": link.index + 1})
            return Worker(
                config=config,
                address=address,
                connections_max=connections_max,
                admin_key=admin_key,
                announces=link.index == 0 and link.is_first_life,
                on_ready=link.ready,
                parent=link.parent,
                sheet=shared.worker(link.index),
            ).run()

        # Here and not in each worker: it is told once, a line for each mistake.
        check_selection(config)
        _preload()
        drain_s = server.drain_delay_s + server.drain_timeout_s
        return Supervisor(count, work, drain_timeout_s=drain_s, on_gone=shared.bury).run()
    finally:
        address.close()


def _run_alone(worker: Worker) -> int:
    started: list[bool] = []
    try:
        return replace(worker, on_ready=lambda: started.append(True)).run()
    except JustStorageError as error:
        if started or isinstance(error, Misconfigured):
            raise
        # A database that is locked or damaged: whoever starts the service has to act first.
        raise Misconfigured(explain(error)) from error


def _preload() -> None:
    """Import what every worker needs, so that they share it."""
    for name in ("granian.server.embed", "uvloop", "juststorage_api.application"):
        import_module(name)
