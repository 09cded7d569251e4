"""`juststorage`: its subcommands are found late, so that it starts early and nothing can break it.

The names and summaries of core's own commands are data, those of plugins come from their hooks;
what a command does is imported when it is used.
"""

from __future__ import annotations

import importlib
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from juststorage import __version__
from juststorage.cli._json import ask_for_json, fail, fail_interrupted, fail_usage
from juststorage.cli._refusals import note_service
from juststorage.errors import JustStorageError, Misconfigured

__all__ = ["juststorage", "main"]

_OWN: Mapping[str, tuple[str, str]] = {
    "backup": (
        "Keep a copy of everything, verify it, and put it back",
        "juststorage.cli._backup:command",
    ),
    "config": ("Check, show or describe the configuration", "juststorage.cli._config:command"),
    "doctor": (
        "Say what a service would trip over here, and what to do",
        "juststorage.cli._doctor:command",
    ),
    "fsck": (
        "Check that nothing is lost, miscounted or left over",
        "juststorage.cli._fsck:command",
    ),
    "gc": ("Collect what nobody refers to any more", "juststorage.cli._gc:command"),
    "keys": ("Create, list and revoke API keys", "juststorage.cli._keys:command"),
    "migrate": ("Change the metadata store's schema", "juststorage.cli._migrate:command"),
    "plugins": ("List plugins, and what is wrong with them", "juststorage.cli._plugins:command"),
}
"""Core's own commands: name -> (summary, target)."""

OWN_PROCESS = "a process of its own"
"""The root context's object where the command is all that its process does."""

_EPILOG = """\b
Examples:
  juststorage plugins
  juststorage config check --config juststorage.toml

\b
Exit codes: 0 done; 1 done, and something is wrong, or it failed;
2 wrong usage or configuration (one line says what); 130 interrupted by Ctrl-C.
"""

_INTERRUPTED = 128 + 2
"""As a shell says it of a command that SIGINT ended."""


class _Commands(click.Group):
    """A group whose members are named by data and hooks, and imported when they are called."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # The configuration decides which plugins may be imported, and plugins decide which commands
        # there are: so `--config` is looked for before there is a command that could parse it.
        ctx.meta["juststorage.config"] = _option(args, "--config")
        ask_for_json(ctx, args)
        note_service(ctx, args)
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted({*_OWN, *self._plugin_commands(ctx, lenient=True)})

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name in _OWN:
            return _imported(_OWN[name][1])
        offer = self._plugin_commands(ctx, lenient=False).get(name)
        if offer is None:
            return None
        try:
            return _imported(offer.item.target)
        except (Exception, SystemExit) as error:
            from juststorage.plugins._hints import one_line

            record = offer.record
            raise Misconfigured(
                f"the command {name!r} of plugin {record.name} of {record.origin}"
                f" cannot be loaded: {one_line(error)}"
            ) from error

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            # The command may belong to a plugin that is not usable: that is the real cause, then.
            unusable = self._host(ctx).unusable()
            if not unusable:
                raise
            detail = f"{error.message} Plugins that are not usable: {', '.join(unusable)}."
            raise click.UsageError(detail, ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        plugins = self._plugin_commands(ctx, lenient=True)
        rows = {name: summary for name, (summary, _) in _OWN.items()}
        rows |= {name: offer.item.summary for name, offer in plugins.items()}
        with formatter.section("Commands"):
            formatter.write_dl(sorted(rows.items()))
        if problem := ctx.meta.get("juststorage.problem"):
            formatter.write_paragraph()
            formatter.write_text(f"Commands of plugins are not shown: {problem}")

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except JustStorageError as error:
            fail(ctx, error)
            ctx.exit(2 if isinstance(error, Misconfigured) else 1)
        except click.UsageError as error:
            fail_usage(ctx, error)
            raise
        except KeyboardInterrupt:
            fail_interrupted(ctx)
            ctx.exit(_INTERRUPTED)

    def _plugin_commands(self, ctx: click.Context, *, lenient: bool) -> Mapping[str, Any]:
        try:
            commands: Mapping[str, Any] = self._host(ctx).commands
            return commands
        except Misconfigured as error:
            if not lenient:
                raise
            ctx.meta["juststorage.problem"] = error.detail
            return {}

    def _host(self, ctx: click.Context) -> Any:
        if "juststorage.host" not in ctx.meta:
            from juststorage.config import Config
            from juststorage.plugins._host import PluginHost

            file = ctx.meta.get("juststorage.config")
            allowed = Config.load_gate(Path(file) if file else None)
            ctx.meta["juststorage.host"] = PluginHost(
                enabled=allowed.enabled, disabled=allowed.disabled
            ).load()
        return ctx.meta["juststorage.host"]


def _option(args: Sequence[str], name: str) -> str | None:
    for index, arg in enumerate(args):
        if arg == name and index + 1 < len(args):
            return args[index + 1]
        if arg.startswith(f"{name}="):
            return arg.removeprefix(f"{name}=")
    return None


def _imported(target: str) -> click.Command:
    module, _, attribute = target.partition(":")
    command: Any = importlib.import_module(module)
    for name in attribute.split("."):
        command = getattr(command, name)
    if not isinstance(command, click.Command):
        raise TypeError(f"{target} is not a click.Command")
    return command


@click.group(
    cls=_Commands,
    name="juststorage",
    epilog=_EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="juststorage %(version)s")
def juststorage() -> None:
    """Content-addressed object storage, made of plugins."""


def main() -> None:
    """Run the command line; the entry point of the script `juststorage`.

    SIGTERM and SIGINT end it, whatever mask it was started with.
    """
    # A mask outlives fork and exec: whoever blocks signals while it starts us, as many a supervisor
    # does, would have made a collector that nothing but SIGKILL ends.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})
    juststorage(prog_name="juststorage", obj=OWN_PROCESS)
