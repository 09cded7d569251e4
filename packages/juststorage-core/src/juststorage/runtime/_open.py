"""open_runtime: from a configuration to an open service, and back."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from juststorage.config import Config
from juststorage.errors import Misconfigured
from juststorage.metrics import Sheet
from juststorage.plugins._host import PluginHost
from juststorage.ports import Clock
from juststorage.runtime._data_dir import make_data_dir, missing_data_dir, require_data_dir
from juststorage.runtime._opening import opening
from juststorage.runtime._plan import Plan, make_plan, unknown_tables
from juststorage.runtime._runtime import Runtime
from juststorage.runtime._tracing import open_tracer

__all__ = ["check_selection", "make_host", "open_runtime"]

_log = logging.getLogger("juststorage.runtime")


def make_host(
    config: Config, *, plugins: Iterable[object] = (), discover: bool = True
) -> PluginHost:
    """The loaded plugin host for a configuration.

    Without discovery core's own plugins are there all the same: without a hasher nothing works.
    """
    given = list(plugins)
    if not discover:
        from juststorage.plugins import builtin, memory

        given = [builtin, memory, *given]
    return PluginHost(
        given,
        discover=discover,
        enabled=config.plugins.enabled,
        disabled=config.plugins.disabled,
    ).load()


def check_selection(config: Config) -> None:
    """Refuse what `open_runtime` would refuse before it opens anything; touch nothing.

    Raises:
        Misconfigured: A selected plugin is missing or broken, or its options are wrong.
    """
    host = make_host(config)
    host.require_sound()
    make_plan(config, host)


@asynccontextmanager
async def open_runtime(
    config: Config | Mapping[str, Any],
    *,
    plugins: Iterable[object] = (),
    discover: bool = True,
    clock: Clock | None = None,
    collect: bool = False,
    create: bool = True,
    on_fatal: Callable[[str], None] | None = None,
    sheet: Sheet | None = None,
) -> AsyncIterator[Runtime]:
    """Open everything that a configuration selects: metadata, blobs, hashers, policy, chain.

    Closing goes the other way, after the background work of each service, and goes on whatever one
    of them raises. It is not cancelled with the caller.

    Args:
        config: Or a mapping in the shape of the file, which must name its backends.
        plugins: Plugins that the program hands over, besides the installed ones.
        discover: Use installed plugins; False reads no entry points.
        clock: None means the machine's.
        collect: Collect garbage in the background, as the section `[gc]` says.
        create: Make a store where there is none, if the backends would; False refuses instead.
        on_fatal: Told, in one sentence, that the service cannot work any more: background work
            keeps crashing, or a backend fell over. Readiness fails as well; ending the process is
            the caller's business.
        sheet: Where to count what happens; a service that is given one is also looked at by a
            monitor. None counts where nobody looks.

    Raises:
        Misconfigured: A setting or a selected plugin is wrong. Nothing was opened.
        JustStorageError: A backend could not open; those opened before it are closed.
        BackendError: A backend raised something else, while it opened or closed.
    """
    if not isinstance(config, Config):
        config = Config.from_mapping(config)
    host = make_host(config, plugins=plugins, discover=discover)
    plan = _planned(config, host)
    if not create:
        require_data_dir(config)
    elif config.embedded_default:
        make_data_dir(config.data_dir)
    is_service = collect or sheet is not None
    async with (
        open_tracer(config.tracing) as tracer,
        opening(
            config,
            host,
            clock=clock,
            on_fatal=on_fatal,
            create=create,
            sheet=sheet,
            tracer=tracer,
        ) as opened,
    ):
        runtime = await opened.runtime(plan)
        if is_service and (missing := missing_data_dir(config)) is not None:
            # Only now: a backend that keeps something there has refused it, and said so itself.
            _log.warning(missing)
        if is_service:
            opened.follow(runtime)
        if collect:
            opened.collect(runtime)
        if sheet is not None:
            opened.monitor(runtime)
        yield runtime


def _planned(config: Config, host: PluginHost) -> Plan:
    host.require_sound()
    warnings = [*host.warnings, *unknown_tables(config, host)]
    if host.strict and warnings:
        raise Misconfigured("; ".join(warnings))
    for warning in warnings:
        _log.warning(warning)
    return make_plan(config, host)
