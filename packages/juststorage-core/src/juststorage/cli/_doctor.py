"""`juststorage doctor`: what a service would trip over here, and what to do about it."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Final

import click
import msgspec

from juststorage.cli._aside import Aside, Tell
from juststorage.cli._json import json_option, print_json
from juststorage.cli._main import OWN_PROCESS
from juststorage.cli._options import ConfigSource, config_options
from juststorage.config import Config, Log
from juststorage.errors import Misconfigured
from juststorage.runtime import logging_to_stderr
from juststorage.runtime._checkup import (
    ALL_S,
    LOOK_S,
    check_all,
    check_limits,
    configuration_problem,
)
from juststorage.runtime._looks import Checked, no_answer

__all__ = ["command"]

_MARGIN_S: Final = 0.1
"""For what comes from the process that looks to be read here."""

_SILENT: Final = {
    "configuration": "see whether the file can be read, and its disk answers",
    "plugins": "`juststorage plugins check` waits for longer, and names the one that hangs",
    "data_dir": "see whether its disk answers",
}
"""What to do where it cannot be cut off, and did not end."""


@click.command(
    name="doctor",
    epilog="\b\nExamples:\n  juststorage doctor\n"
    "  juststorage doctor --config juststorage.toml --json\n\n"
    "\b\nExit codes: 0 well, maybe with warnings; 1 something does not work;\n"
    "2 the configuration is wrong.",
)
@config_options
@json_option("Print a JSON array.")
@click.pass_context
def command(ctx: click.Context, source: ConfigSource, as_json: bool) -> None:
    """Look at all that a service needs, and say what to do where something is wrong.

    At the configuration, the database and its schema, its clock and that of this host, the volumes
    and their room, and the limits of the operating system. Changes nothing, and takes 3 s at most:
    what has not answered by then is told as that, whatever it hangs in. Run it as the user, and
    under the limits, that the service has.
    """
    # In another program's process nobody may be left behind, and the program decides how it ends.
    look = _look_aside if ctx.find_root().obj == OWN_PROCESS else _look
    found = look(source)
    if as_json:
        print_json(found)
    else:
        _print(found)
    failed = {each.check for each in found if each.state == "failed"}
    ctx.exit(2 if "configuration" in failed else 1 if failed else 0)


def _look_aside(source: ConfigSource) -> list[Checked]:
    """Look from a process that is left behind if it hangs."""
    began = time.monotonic()
    is_terminal = sys.stderr.isatty()

    def work(tell: Tell) -> None:
        def at(name: str) -> None:
            tell(msgspec.json.encode(name))

        for each in _look(source, is_terminal=is_terminal, began=began, at=at):
            tell(msgspec.json.encode(each))
        tell(b"null")

    place, found = "configuration", list[Checked]()
    aside = Aside(began + ALL_S + _MARGIN_S)
    with closing(aside.run(work)) as lines:
        for line in lines:
            message = msgspec.json.decode(line, type=Checked | str | None)
            if message is None:
                return found
            if isinstance(message, Checked):
                found.append(message)
                continue
            place = message
            if place == "backends":  # from here on it cuts off what hangs itself
                aside.ends = max(aside.ends, time.monotonic() + LOOK_S + 2 * _MARGIN_S)
    if aside.is_late:
        found.append(no_answer(place, ALL_S, _SILENT.get(place, "run this again")))
    else:
        what = "the look at it ended by itself: its error is above, unless it was killed"
        to_do = "report this with what is above"
        found.append(Checked(check=place, state="failed", found=what, to_do=to_do))
    return found + list(check_limits(resource.getrlimit))


def _look(
    source: ConfigSource,
    *,
    is_terminal: bool | None = None,
    began: float | None = None,
    at: Callable[[str], None] = lambda name: None,
) -> list[Checked]:
    """Look from this process; `began` and `at` are those of `check_all`.

    `is_terminal` is whether people read what is logged: None asks standard error.
    """
    overrides = {} if source.data_dir is None else {"data_dir": str(source.data_dir)}
    try:
        config, problems = Config.examine(source.file, overrides=overrides)
        if problems:
            # With a setting left out, the rest might be another service than the one meant.
            return [configuration_problem(problem) for problem in problems]
        with logging_to_stderr(_log(config.log, is_terminal=is_terminal)):
            return check_all(config, began=began, at=at)
    except Misconfigured as error:
        return [configuration_problem(problem) for problem in error.problems]


def _log(log: Log, *, is_terminal: bool | None) -> Log:
    if is_terminal is None or log.format != "auto":
        return log
    return msgspec.structs.replace(log, format="text" if is_terminal else "json")


def _print(found: Sequence[Checked]) -> None:
    width = max(len(each.check) for each in found)
    for each in found:
        click.echo(f"{each.state:7}  {each.check:{width}}  {each.found}")
        if each.to_do is not None:
            click.echo(f"{'':7}  {'':{width}}  -> {each.to_do}")
    counts = {state: sum(each.state == state for each in found) for state in ("warning", "failed")}
    click.echo(f"\n{counts['failed']} failed, {counts['warning']} to be looked at")
