"""`juststorage usage`: what a tenant has on a server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from juststorage.cli import json_option, print_json, readable_bytes
from juststorage_api._client._problems import EXIT_CODES, exits, wants_tenant
from juststorage_api._client._server import Server, server_options

__all__ = ["command"]

_COLUMNS = "{:24}  {:5}  {:>12}  {:>12}  {:>12}"


@click.command(
    name="usage",
    epilog="\b\nExamples:\n  juststorage usage --tenant acme\n"
    f"  juststorage usage --tenant acme --namespace docs --json\n\n{EXIT_CODES}",
)
@server_options
@click.option("--tenant", metavar="ID", help="Whose; needed where the caller has several.")
@click.option("--namespace", metavar="NAME", help="Only this one.")
@click.option("--no-physical", is_flag=True, help="Leave physical bytes out: quick at any size.")
@json_option()
@exits
def command(
    connect: Callable[[], Server],
    *,
    tenant: str | None,
    namespace: str | None,
    no_physical: bool,
    as_json: bool,
) -> None:
    """Count the objects and bytes of a tenant, by namespace and storage class; exactly.

    Logical bytes are the sizes of all objects. Physical bytes count equal contents once.
    """
    asked = {
        "tenant_id": tenant,
        "namespace": namespace,
        "physical": "false" if no_physical else None,
    }
    params = {name: value for name, value in asked.items() if value is not None}
    with connect() as server, wants_tenant("--tenant ID"):
        usage = server.json("GET", "/v1/usage", params=params)
    if as_json:
        print_json(usage)
        return
    click.echo(_COLUMNS.format("NAMESPACE", "CLASS", "OBJECTS", "LOGICAL", "PHYSICAL").rstrip())
    for part in usage["by"]:
        click.echo(_row(part["namespace"], part["storage_class"], part))
    click.echo(_row("in all", "", usage))


def _row(name: str, storage_class: str, part: dict[str, Any]) -> str:
    sizes = [
        "-" if size is None else readable_bytes(size)
        for size in (part["logical_bytes"], part.get("physical_bytes"))
    ]
    return _COLUMNS.format(name, storage_class, part["objects"], *sizes)
