"""What is installed, for callers with the scope `admin`."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from litestar import get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec import Meta

from juststorage.domain import Principal
from juststorage.runtime import PluginRecord, PluginStatus
from juststorage_api._access import Call, require
from juststorage_api._openapi.examples import PLUGIN
from juststorage_api._routes._strict import known_parameters, provide_caller
from juststorage_api._services import Services

__all__ = ["plugin_routes"]

_CALLER: Final = {"caller": Provide(provide_caller)}
_PLUGINS: Final = Example(summary="One that serves two classes", value={"plugins": [PLUGIN]})
_FAILED: Final = "it broke while it was loaded; `juststorage plugins check` says how"


class PluginDto(msgspec.Struct, frozen=True, kw_only=True):
    """A plugin: where it comes from, what became of it, and what it serves."""

    name: Annotated[str, Meta(examples=["localfs"])]
    distribution: Annotated[
        str | None, Meta(description="null: handed over by the program", examples=["acme-tape"])
    ]
    version: Annotated[str | None, Meta(examples=["0.1.0"])]
    target: Annotated[str, Meta(description="The module, and the object in it where it names one")]
    status: Annotated[PluginStatus, Meta(description="`active`: what it provides can be selected")]
    reason: Annotated[str | None, Meta(description="Why it is not active; null: it is")]
    provides: Annotated[list[str], Meta(description="`kind:name` of all that it offers")]
    selected: Annotated[list[str], Meta(description="The parts of this service that it serves")]


class PluginsDto(msgspec.Struct, frozen=True, kw_only=True):
    """Every plugin that was found, by name."""

    plugins: list[PluginDto]


@get(
    "/v1/admin/plugins",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="listPlugins",
    summary="List plugins",
    tags=["Administration"],
    responses={200: ResponseSpec(PluginsDto, description="The plugins", examples=[_PLUGINS])},
)
async def list_plugins(
    *, services: NamedDependency[Services], caller: NamedDependency[Principal]
) -> PluginsDto:
    """What is installed, what became of it, and what serves this service; never an option's value.

    The same as `juststorage plugins --json`, except for the words of those that failed.
    """
    require(caller, Call.READ_PLUGINS)
    serving: dict[tuple[str, str | None], list[str]] = {}
    for selected in services.runtime.selected:
        plugin = selected.plugin, selected.distribution
        serving.setdefault(plugin, []).append(selected.instance)
    return PluginsDto(
        plugins=[
            _document(record, serving.get((record.name, record.distribution), []))
            for record in services.runtime.host.records
        ]
    )


def _document(record: PluginRecord, selected: list[str]) -> PluginDto:
    return PluginDto(
        name=record.name,
        distribution=record.distribution,
        version=record.version,
        target=record.target,
        status=record.status,
        # The words of a stranger's exception may have anything in them: a path, or a secret.
        reason=_FAILED if record.status is PluginStatus.FAILED else record.reason,
        provides=record.provides,
        selected=selected,
    )


plugin_routes = [list_plugins]
