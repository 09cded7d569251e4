"""Collecting: ask one plugin's hooks what it offers, and look hard at the answer."""

from __future__ import annotations

import os
import re
import sys
from itertools import pairwise
from typing import Any

import msgspec
import pluggy

from juststorage.plugins._binding import field_types
from juststorage.plugins._descriptors import Backend, Command
from juststorage.plugins._hints import near_miss, one_line
from juststorage.plugins._records import HOOKS, RESERVED_COMMANDS, Described

__all__ = ["Unfit", "ask"]

_BACKEND_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_COMMAND_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


class Unfit(Exception):
    """The plugin cannot be used; the text is the reason, in one line."""


def ask(manager: pluggy.PluginManager, plugin: object) -> list[Described]:
    """Call every hook that this plugin implements, each once.

    pluggy's own call would stop at the first implementation that raises, and a generator raises
    only when it is read: both are the reason for doing it by hand.

    Raises:
        Unfit: A hook is unknown, raised, or answered with something else than descriptors.
    """
    callers = manager.get_hookcallers(plugin) or []
    if not callers:
        raise Unfit("implements no hook; is @hookimpl missing?")
    items: list[Described] = []
    for caller in sorted(callers, key=lambda it: it.name):
        for implementation in caller.get_hookimpls():
            if implementation.plugin is plugin:
                items += _answer(caller, implementation)
    items.sort(key=lambda it: (it.kind, it.name))
    for one, other in pairwise(items):
        if (one.kind, one.name) == (other.kind, other.name):
            raise Unfit(f"offers {one.kind}:{one.name} twice")
    return items


def _answer(caller: pluggy.HookCaller, implementation: pluggy.HookImpl) -> list[Described]:
    hook = caller.name
    if not caller.has_spec():
        if implementation.optionalhook:
            return []
        raise Unfit(
            f"implements an unknown hook {hook}{near_miss(hook, HOOKS)}"
            " (a typo, or it needs a newer juststorage-core)"
        )
    if implementation.wrapper or implementation.hookwrapper:
        raise Unfit(f"{hook} is a wrapper; hooks here only yield descriptors")
    try:
        answer: Any = implementation.function()
        items: list[Any] | None = None if answer is None else list(answer)
    except (Exception, SystemExit) as error:
        raise Unfit(f"{hook} raised {one_line(error)}") from error
    if items is None:
        raise Unfit(f"{hook} returned None instead of descriptors")
    if os.environ.get("JUSTSTORAGE_PLUGINS_TRACE") == "1":
        print(f"{hook}() of {implementation.plugin_name}: {items}", file=sys.stderr)  # noqa: T201
    for item in items:
        _examine(hook, item)
    return items


def _examine(hook: str, item: Any) -> None:
    # `Any`: whatever the annotations say, this came from someone else.
    expected = HOOKS[hook]
    if not isinstance(item, expected):
        raise Unfit(f"{hook} yielded {type(item).__name__} instead of {expected.__name__}")
    pattern = _COMMAND_NAME if isinstance(item, Command) else _BACKEND_NAME
    name: Any = item.name
    summary: Any = item.summary
    if not isinstance(name, str) or not pattern.fullmatch(name):
        raise Unfit(f"{hook} yielded the name {name!r}, which is not {pattern.pattern}")
    if not isinstance(summary, str) or not summary.strip() or "\n" in summary:
        raise Unfit(f"{item.kind}:{item.name} needs a summary of one line")
    if isinstance(item, Command):
        if name in RESERVED_COMMANDS:
            raise Unfit(f"command:{name} is a command of juststorage-core")
        target: Any = item.target
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            raise Unfit(f"command:{item.name} has a target that is not module:attribute")
        return
    _examine_backend(item)


def _examine_backend(item: Backend[Any, Any]) -> None:
    label = f"{item.kind}:{item.name}"
    options: object = item.options
    if not (isinstance(options, type) and issubclass(options, msgspec.Struct)):
        raise Unfit(f"{label} has options that are not a msgspec.Struct class")
    settings = options.__struct_config__
    if not settings.frozen or not settings.forbid_unknown_fields:
        raise Unfit(f"{label} has options without frozen=True and forbid_unknown_fields=True")
    try:
        field_types(options)
        msgspec.json.Decoder(options)
    except Exception as error:
        raise Unfit(f"{label} has options that cannot be read: {one_line(error)}") from error
    if not callable(item.open):
        raise Unfit(f"{label} has an open that cannot be called")
