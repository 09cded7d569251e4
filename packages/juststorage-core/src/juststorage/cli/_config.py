"""`juststorage config`: whether the configuration is right, what it is, what it may be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import anyio
import click

from juststorage.cli._json import json_option, print_json
from juststorage.cli._options import ConfigSource, config_options
from juststorage.config import Config, redacted, schema
from juststorage.plugins._host import PluginHost

if TYPE_CHECKING:
    from juststorage.runtime._plan import Choice
    from juststorage.runtime._readiness import Part

__all__ = ["command"]


@click.group(name="config", epilog="\b\nExample:\n  juststorage config check --help")
def command() -> None:
    """Check, show or describe the configuration."""


@command.command(
    epilog="\b\nExample:\n  juststorage config check --config juststorage.toml --open\n\n"
    "\b\nExit codes: 0 right; 1 a part is not ready, or could not be opened;\n"
    "2 the configuration is wrong.",
)
@config_options
@click.option("--open", "opening", is_flag=True, help="Also open every backend and ping it.")
@json_option()
@click.pass_context
def check(ctx: click.Context, source: ConfigSource, opening: bool, as_json: bool) -> None:
    """Check the configuration without serving it.

    Reads the options of every selected backend, secret files included. A table that belongs to no
    known backend is an error here; a server only warns. Makes no store: without a configuration,
    --open wants one that is there.
    """
    from juststorage.errors import Misconfigured
    from juststorage.runtime import logging_to_stderr, require_data_dir
    from juststorage.runtime._data_dir import missing_data_dir
    from juststorage.runtime._plan import make_plan, selection_problems, unknown_tables

    config = source.load()
    host = _host(config)
    host.require_sound()
    if problems := [*selection_problems(config, host), *unknown_tables(config, host)]:
        raise Misconfigured(*problems)
    plan = make_plan(config, host)
    if opening:
        # What it made itself would be empty, and right, and not what was meant.
        require_data_dir(config)
    warnings = list(host.warnings)
    if (missing := missing_data_dir(config)) is not None:
        warnings.append(missing)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
    with logging_to_stderr(config.log):
        parts = anyio.run(_readiness, config) if opening else None
    backends = [_backend(choice) for choice in plan.choices()]
    if as_json:
        print_json({"backends": backends, "parts": parts, "warnings": warnings})
    elif parts is not None:
        for part in parts:
            state = f"degraded: {part.detail}" if part.degraded else part.detail
            click.echo(f"{part.name}: {state or 'ready'}")
    else:
        for each in backends:
            click.echo(f"{each['instance']}: {each['backend']} ({each['origin']})")
    ctx.exit(0 if parts is None or all(part.ok for part in parts) else 1)


@command.command(
    epilog="\b\nExample:\n  juststorage config show --json\n\n"
    "\b\nExit codes: 0 shown; 2 the configuration is wrong.",
)
@config_options
@json_option("Print JSON instead of TOML.")
def show(source: ConfigSource, as_json: bool) -> None:
    """Show the settings in effect: defaults, file and environment together. Never a secret."""
    config = source.load()
    shown = redacted(config, _host(config))
    if as_json:
        print_json(shown)
        return
    if config.embedded_default:
        click.echo("# Nothing is configured: the embedded backends are used.")
    for line in _toml(shown, ()):
        click.echo(line)


@command.command(
    name="schema",
    epilog="\b\nExample:\n  juststorage config schema > juststorage.schema.json\n\n"
    "\b\nExit codes: 0 printed; 2 the section [plugins] is wrong.",
)
@config_options
@json_option("It is JSON in any case.")
def schema_(source: ConfigSource, as_json: bool) -> None:
    """Print the JSON Schema of the configuration, from the options of all installed plugins."""
    allowed = Config.load_gate(source.file)
    host = PluginHost(enabled=allowed.enabled, disabled=allowed.disabled).load()
    print_json(schema(host))


def _host(config: Config) -> PluginHost:
    from juststorage.runtime._open import make_host

    return make_host(config)


def _backend(choice: Choice) -> dict[str, str]:
    return {
        "instance": choice.instance,
        "backend": choice.offer.name,
        "origin": choice.offer.record.origin,
    }


async def _readiness(config: Config) -> list[Part]:
    from juststorage.runtime import open_runtime

    async with open_runtime(config) as runtime:
        return await runtime.readiness()


def _toml(tree: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    """A line for each setting, with its whole name: easy to search, and valid TOML."""
    for name, value in tree.items():
        place = ".".join((*path, name))
        if isinstance(value, Mapping):
            yield from _toml(value, (*path, name))
        elif value is None:
            yield f"# {place} is not set"
        else:
            # JSON's scalars and lists of them are TOML's too.
            yield f"{place} = {json.dumps(value, ensure_ascii=False)}"
