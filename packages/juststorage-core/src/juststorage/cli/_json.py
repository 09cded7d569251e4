"""`--json`: one option for every command, and one document for whatever goes wrong.

A command that succeeds prints its document, or a line for each thing of many. One that fails prints
what went wrong as a document too, on standard output and in one line, so that it is the last line
of a command that had printed others. People's line on standard error stays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

from juststorage.cli._refusals import tell
from juststorage.errors import JustStorageError, Misconfigured

__all__ = [
    "ask_for_json",
    "fail",
    "fail_interrupted",
    "fail_usage",
    "goes_on",
    "json_option",
    "print_json",
    "print_json_line",
    "so_far",
]

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_ASKED: Final = "juststorage.json"
_SO_FAR: Final = "juststorage.so_far"
_GOES_ON: Final = "juststorage.goes_on"


def json_option(help: str = "Print JSON.") -> Callable[[CommandT], CommandT]:  # noqa: A002
    """Add `--json`; the command gets `as_json`.

    When the command fails with an error of `juststorage.errors`, or is used wrongly, there is a
    document on standard output all the same: `{"error": {"code", "detail", "problems"}}`. `code` is
    the error's, or `wrong_usage`; `problems` has a sentence for each thing that is wrong.

    Args:
        help: What `--help` says.
    """
    return click.option("--json", "as_json", is_flag=True, help=help)


def print_json(document: Any) -> None:
    """Print one document, for people to read as well."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())


def print_json_line(document: Any) -> None:
    """Print one of many documents, each in a line."""
    import msgspec

    click.echo(msgspec.json.encode(document).decode())


def ask_for_json(ctx: click.Context, args: Sequence[str]) -> None:
    """Note whether a command line asks for JSON, before anything of it can fail."""
    options = args[: args.index("--")] if "--" in args else args
    ctx.meta[_ASKED] = "--json" in options


def so_far(ctx: click.Context, **members: Any) -> None:
    """Have the document of a failure say, besides, what had been done by then."""
    ctx.meta[_SO_FAR] = members


def goes_on(ctx: click.Context) -> None:
    """Have an interruption say that the same command goes on from where this one was."""
    ctx.meta[_GOES_ON] = True


def fail(ctx: click.Context, error: JustStorageError) -> None:
    """Tell of a failure: a line for people, and a document where JSON was asked for.

    The line of `serve` and `gc worker` is one of their log.
    """
    # One line each: a traceback would bury the only thing to be read.
    problems = error.problems if isinstance(error, Misconfigured) else (error.detail,)
    problems = tuple(" ".join(problem.split()) for problem in problems)
    tell(ctx, error.code, problems, as_json=bool(ctx.meta.get(_ASKED)))
    _print_error(ctx, error.code, problems)


def fail_interrupted(ctx: click.Context) -> None:
    """Tell of Ctrl-C, as of any other failure."""
    problem = "interrupted"
    if ctx.meta.get(_GOES_ON):
        problem += "; the same command goes on"
    click.echo(f"juststorage: {problem}", err=True)
    _print_error(ctx, "interrupted", (problem,))


def fail_usage(ctx: click.Context, error: click.UsageError) -> None:
    """Tell, where JSON was asked for, of wrong usage; click itself tells people."""
    _print_error(ctx, "wrong_usage", (" ".join(error.format_message().split()),))


def _print_error(ctx: click.Context, code: str, problems: Sequence[str]) -> None:
    if not ctx.meta.get(_ASKED):
        return
    error = {"code": code, "detail": "; ".join(problems), "problems": problems}
    print_json_line({**ctx.meta.get(_SO_FAR, {}), "error": error})
