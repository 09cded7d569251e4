"""`juststorage plugins`: what is installed, what it offers, and what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import msgspec

from juststorage.cli._json import json_option, print_json
from juststorage.cli._options import ConfigSource, config_options
from juststorage.cli._scaffold import KINDS, write_package
from juststorage.cli._tables import table
from juststorage.config import Config, options_schema
from juststorage.errors import Misconfigured
from juststorage.plugins._hints import near_miss
from juststorage.plugins._host import PluginHost
from juststorage.plugins._records import PluginRecord, PluginStatus

__all__ = ["command"]


@click.group(
    name="plugins",
    invoke_without_command=True,
    epilog="\b\nExample:\n  juststorage plugins --json\n\n"
    "\b\nExit codes: 0 listed, whatever state they are in; 2 the configuration is wrong.",
)
@config_options
@json_option("Print JSON instead of a table.")
@click.pass_context
def command(ctx: click.Context, source: ConfigSource, as_json: bool) -> None:
    """List plugins, and what is wrong with them; without a subcommand, `list`.

    Needs no configuration and opens nothing. Imports only what the section [plugins] allows.
    """
    ctx.obj = source
    if ctx.invoked_subcommand is None:
        _list(source, as_json)


@command.command(
    name="list",
    epilog="\b\nExample:\n  juststorage plugins list\n\n"
    "\b\nExit codes: 0 listed, whatever state they are in; 2 the configuration is wrong.",
)
@config_options
@json_option("Print JSON instead of a table.")
@click.pass_obj
def list_(group: ConfigSource, source: ConfigSource, as_json: bool) -> None:
    """List every installed plugin with its status."""
    _list(source.over(group), as_json)


@command.command(
    epilog="\b\nExample:\n  juststorage plugins show localfs\n\n"
    "\b\nExit codes: 0 shown; 2 there is no such plugin, or the configuration is wrong.",
)
@click.argument("name")
@config_options
@json_option("Print JSON instead of a table.")
@click.pass_obj
def show(group: ConfigSource, source: ConfigSource, name: str, as_json: bool) -> None:
    """Show what the plugin NAME offers, with all options."""
    host = _host(source.over(group))
    records = [record for record in host.records if record.name == name]
    if not records:
        known = {record.name for record in host.records}
        raise Misconfigured(f"no plugin named {name!r} is installed{near_miss(name, known)}")
    shown = [_details(host, record) for record in records]
    if as_json:
        print_json(shown[0] if len(shown) == 1 else shown)
        return
    for details in shown:
        _print_details(details)


@command.command(
    epilog="\b\nExample:\n  juststorage plugins check\n\n"
    "\b\nExit codes: 0 all is well; 1 something is wrong with a plugin;\n"
    "2 the configuration is wrong.",
)
@config_options
@json_option("Print JSON instead of a table.")
@click.pass_context
def check(ctx: click.Context, source: ConfigSource, as_json: bool) -> None:
    """Say what is wrong with the installed plugins, selected or not."""
    host = _host(source.over(ctx.obj))
    if as_json:
        print_json(list(host.warnings))
    else:
        for warning in host.warnings:
            click.echo(warning)
        if not host.warnings:
            active = sum(record.status is PluginStatus.ACTIVE for record in host.records)
            click.echo(f"{active} plugins, all is well")
    ctx.exit(1 if host.warnings else 0)


@command.command(
    epilog="\b\nExamples:\n  juststorage plugins new blob_store tape\n"
    "  juststorage plugins new hasher tiger --directory tiger\n\n"
    "\b\nExit codes: 0 written; 2 the name cannot be used, or the directory is not empty.",
)
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where to write it; by default juststorage-NAME, here.",
)
@json_option()
def new(kind: str, name: str, directory: Path | None, as_json: bool) -> None:
    """Write a package for a plugin NAME of that KIND, with tests that pass.

    A starting point: it does something simple, completely. Replace that by what yours shall do.
    """
    where = directory or Path(f"juststorage-{name.replace('_', '-')}")
    written = write_package(kind, name, where)
    if as_json:
        files = [str(path) for path in written]
        print_json({"kind": kind, "name": name, "directory": str(where), "files": files})
        return
    for path in written:
        click.echo(where / path)
    click.echo(
        f"\nNext:\n  cd {where}\n  python -m venv .venv\n"
        "  .venv/bin/pip install --editable '.[test]'\n  .venv/bin/pytest"
    )


def _host(source: ConfigSource) -> PluginHost:
    allowed = Config.load_gate(source.file)
    return PluginHost(enabled=allowed.enabled, disabled=allowed.disabled).load()


def _list(source: ConfigSource, as_json: bool) -> None:
    host = _host(source)
    selected = _selected(source)
    rows = [{**_facts(record), "selected": _selecting(record, selected)} for record in host.records]
    if as_json:
        print_json(rows)
        return
    lines = [
        (
            str(row["name"]),
            row["distribution"] or "-",
            row["version"] or "-",
            str(row["status"]),
            " ".join(row["provides"]) or "-",
            row["reason"] or (f"selected: {', '.join(row['selected'])}" if row["selected"] else ""),
        )
        for row in rows
    ]
    click.echo(table(("PLUGIN", "DISTRIBUTION", "VERSION", "STATUS", "PROVIDES", "NOTE"), lines))


def _selected(source: ConfigSource) -> dict[str, list[str]]:
    """`kind:name` -> the places that select it; nothing when the configuration is wrong."""
    try:
        config = source.load()
    except Misconfigured as error:
        click.echo(f"juststorage: warning: {error.detail}; nothing counts as selected", err=True)
        return {}
    selected: dict[str, list[str]] = {}
    for place, section in config.sections().items():
        for name in section.chosen:
            selected.setdefault(f"{section.kind}:{name}", []).append(place)
    return selected


def _selecting(record: PluginRecord, selected: dict[str, list[str]]) -> list[str]:
    return [place for offered in record.provides for place in selected.get(offered, [])]


def _facts(record: PluginRecord) -> dict[str, Any]:
    return {
        "name": record.name,
        "distribution": record.distribution,
        "version": record.version,
        "target": record.target,
        "status": str(record.status),
        "reason": record.reason,
        "provides": record.provides,
    }


def _details(host: PluginHost, record: PluginRecord) -> dict[str, Any]:
    offered: list[dict[str, Any]] = []
    for label in record.provides:
        kind, name = label.split(":")
        if kind == "command":
            item: Any = host.commands[name].item
            offered.append({"kind": kind, "name": name, "summary": item.summary})
            continue
        item = host.backends(kind)[name].item
        one = {"kind": kind, "name": name, "summary": item.summary}
        if hasattr(item, "durable"):
            one["durable"] = item.durable
        if hasattr(item, "capabilities"):
            one["capabilities"] = msgspec.to_builtins(item.capabilities)
        one["options"] = options_schema(item.options)
        offered.append(one)
    return {**_facts(record), "offers": offered}


def _print_details(details: dict[str, Any]) -> None:
    origin = f"{details['distribution']} {details['version']}"
    click.echo(f"{details['name']}: {details['status']}, {origin}, {details['target']}")
    if details["reason"]:
        click.echo(f"  {details['reason']}")
    for offer in details["offers"]:
        click.echo(f"\n{offer['kind']}:{offer['name']}: {offer['summary']}")
        if offer.get("durable") is False:
            click.echo("  forgets everything when the process ends")
        if "capabilities" in offer:
            can = [name for name, yes in offer["capabilities"].items() if yes]
            click.echo(f"  capabilities: {', '.join(can) or 'none'}")
        if offer.get("options", {}).get("properties"):
            lines = [
                (f"  {name}", *_option_cells(option, name in offer["options"].get("required", [])))
                for name, option in offer["options"]["properties"].items()
            ]
            click.echo(table(("  OPTION", "TYPE", "DEFAULT", "BOUNDS", "MEANING"), lines))


def _option_cells(option: dict[str, Any], required: bool) -> tuple[str, str, str, str]:
    default = "required" if required else "-"
    if "default" in option:
        default = msgspec.json.encode(option["default"]).decode()
    bounds = [
        f"{sign} {option[name]}"
        for name, sign in (
            ("minimum", ">="),
            ("exclusiveMinimum", ">"),
            ("maximum", "<="),
            ("exclusiveMaximum", "<"),
            ("minLength", "length >="),
            ("maxLength", "length <="),
        )
        if name in option
    ]
    return _type(option), default, ", ".join(bounds) or "-", option.get("description", "")


def _type(option: dict[str, Any]) -> str:
    if option.get("writeOnly"):
        return "secret"
    if "enum" in option:
        return " or ".join(str(word) for word in option["enum"])
    if "anyOf" in option:
        words = [_type(each) for each in option["anyOf"]]
        return " or ".join(word for word in words if word != "null")
    if option.get("type") == "array":
        return f"list of {_type(option.get('items', {}))}"
    return str(option.get("type", "any"))
