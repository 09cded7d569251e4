"""`juststorage doctor`: what a service would trip over here, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

import anyio
import click

from juststorage.cli._json import json_option, print_json
from juststorage.cli._options import ConfigSource, config_options
from juststorage.config import Config
from juststorage.errors import Misconfigured
from juststorage.runtime import logging_to_stderr
from juststorage.runtime._checkup import Checked, check_all, configuration_problem

__all__ = ["command"]


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
    and their room, and the limits of the operating system. Changes nothing, and takes 3 s at most;
    run it as the user, and under the limits, that the service has.
    """
    found = _look(source)
    if as_json:
        print_json(found)
    else:
        _print(found)
    failed = {each.check for each in found if each.state == "failed"}
    ctx.exit(2 if "configuration" in failed else 1 if failed else 0)


def _look(source: ConfigSource) -> list[Checked]:
    overrides = {} if source.data_dir is None else {"data_dir": str(source.data_dir)}
    try:
        config, problems = Config.examine(source.file, overrides=overrides)
    except Misconfigured as error:
        return [configuration_problem(problem) for problem in error.problems]
    if problems:
        # With a setting left out, the rest might be another service than the one that was meant.
        return [configuration_problem(problem) for problem in problems]
    with logging_to_stderr(config.log):
        return anyio.run(check_all, config)


def _print(found: Sequence[Checked]) -> None:
    width = max(len(each.check) for each in found)
    for each in found:
        click.echo(f"{each.state:7}  {each.check:{width}}  {each.found}")
        if each.to_do is not None:
            click.echo(f"{'':7}  {'':{width}}  -> {each.to_do}")
    counts = {state: sum(each.state == state for each in found) for state in ("warning", "failed")}
    click.echo(f"\n{counts['failed']} failed, {counts['warning']} to be looked at")
