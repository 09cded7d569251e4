"""How people are told that a command has failed: in sentences, or as its log would tell them.

What `serve` and `gc worker` write to standard error is the log of a service, and somebody's machine
reads it line by line. The last line of one that cannot start is the one that matters most, so it
has the form of the others, also when the configuration that says so is what cannot be read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    import logging

__all__ = ["note_service", "tell"]

_TARGET: Final = "juststorage.service"

_SERVICES: Final[Mapping[tuple[str, ...], str]] = {
    ("serve",): "juststorage.serve",
    ("gc", "worker"): "juststorage.gc",
}
"""Commands that run on, by their words, and their loggers. By name: a plugin that cannot be loaded,
for want of a configuration that can be read, cannot say so itself."""


def note_service(ctx: click.Context, args: Sequence[str]) -> None:
    """Note whether a command line starts a service, before anything of it can fail."""
    for words, target in _SERVICES.items():
        if tuple(args[: len(words)]) == words:
            ctx.meta[_TARGET] = target


def tell(ctx: click.Context, code: str, problems: Sequence[str], *, as_json: bool) -> None:
    """Say what went wrong on standard error, a line for each problem.

    A line of the log has the error's code among its fields. `as_json` is whether `--json` was
    given: then the log of a service is JSON, whatever else says.
    """
    target = ctx.meta.get(_TARGET)
    handler = None if target is None else _lines(ctx, as_json=as_json)
    if target is None or handler is None:
        for problem in problems:
            click.echo(f"juststorage: {problem}", err=True)
        return
    import logging

    for problem in problems:
        record = logging.LogRecord(target, logging.CRITICAL, "", 0, problem, (), None)
        record.code = code
        handler.handle(record)


def _lines(ctx: click.Context, *, as_json: bool) -> logging.Handler | None:
    """What writes lines for machines; None where the log is for people."""
    from juststorage.config import Config, Log
    from juststorage.runtime._logging import LineHandler, make_handler

    file = ctx.meta.get("juststorage.config")
    log = Log(format="json") if as_json else Config.load_log(Path(file) if file else None)
    handler = make_handler(log)
    return handler if isinstance(handler, LineHandler) else None
