"""Collecting in the background: one run after the other, with a pause between them."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final, NoReturn

import msgspec

from juststorage.errors import JustStorageError
from juststorage.ports import Clock
from juststorage.usecases import CollectGarbage, CollectionReport

__all__ = ["collect_forever"]

_log: Final = logging.getLogger("juststorage.gc")


def _never() -> bool:
    return False


async def collect_forever(
    collect: CollectGarbage,
    clock: Clock,
    interval_s: float,
    *,
    jitter_ratio: float = 0.1,
    is_paused: Callable[[], bool] = _never,
) -> NoReturn:
    """Run, pause, and so on. The pause follows the run, so that two never overlap here.

    A run that its limit ended is followed by the next one at once. An error of a backend is logged,
    and the next run tries again; anything else is the caller's to supervise. While `is_paused`,
    nothing is run.
    """
    while True:
        more = False
        try:
            report = None if is_paused() else await collect.run()
        except JustStorageError:
            _log.exception("collection_failed")
        else:
            if report is not None:
                more = report.more
                log_report(report)
        # At least one yield to the event loop, also with an interval of 0.
        pause = interval_s * random.uniform(1 - jitter_ratio, 1 + jitter_ratio)  # noqa: S311  no secret
        await clock.sleep(0 if more else pause)


def log_report(report: CollectionReport) -> None:
    """One line for a run that did something, or failed to."""
    counts = {
        name: count
        for name, count in msgspec.structs.asdict(report).items()
        if isinstance(count, int) and not isinstance(count, bool) and count
    }
    if counts:
        level = logging.WARNING if report.errors or report.unknown else logging.INFO
        _log.log(level, "collection_finished", extra=counts)
