"""PluginHost: from installed distributions to descriptors that can be selected.

One instance for each process or test; there is no global one. The steps: discover (metadata only),
gate (enabled, disabled, compatible: still nothing imported), load (each plugin by itself), collect
(each hook by itself), unique names. A plugin that breaks is written down with its reason and the
others go on: only what configuration selects has to work.

What this cannot endure is a plugin whose import never returns; there is no safe way to abandon an
import. `plugins.disabled` keeps such a plugin out.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Self, cast

import msgspec
import pluggy

from juststorage import __version__
from juststorage.errors import Misconfigured
from juststorage.plugins import _hookspecs
from juststorage.plugins._binding import bind
from juststorage.plugins._collect import Unfit, ask
from juststorage.plugins._descriptors import AnyBackend, Command
from juststorage.plugins._gate import Candidate, discover, gate
from juststorage.plugins._hints import near_miss, one_line
from juststorage.plugins._markers import PROJECT
from juststorage.plugins._patience import TookTooLong, patience, patience_s
from juststorage.plugins._records import KIND_WORDS, Described, Offer, PluginRecord, PluginStatus

__all__ = ["PluginHost"]

_BROKEN = (PluginStatus.FAILED, PluginStatus.INCOMPATIBLE, PluginStatus.CONFLICT)


class PluginHost:
    """The plugins of one process or test.

    Args:
        plugins: Plugins that the program hands over: modules or objects with hook implementations.
            They pass no gate.
        discover: Also find installed ones through their entry points.
        enabled: Only these installed plugins; None means all. Core's own are always enabled.
        disabled: Not these.
        search_path: Where to look for distributions; None means `sys.path`.
        core_version: What plugins must be compatible with.
        strict: Whether `require_sound` takes every warning for an error; by default what
            `JUSTSTORAGE_PLUGINS_STRICT` says.
    """

    def __init__(
        self,
        plugins: Iterable[object] = (),
        *,
        discover: bool = True,
        enabled: Collection[str] | None = None,
        disabled: Collection[str] = (),
        search_path: Sequence[str] | None = None,
        core_version: str = __version__,
        strict: bool | None = None,
    ) -> None:
        self._given = list(plugins)
        self._discover = discover
        self._enabled = enabled
        self._disabled = disabled
        self._search_path = search_path
        self._core_version = core_version
        if strict is None:
            strict = os.environ.get("JUSTSTORAGE_PLUGINS_STRICT") == "1"
        self._strict = strict
        self._patience_s = patience_s()
        self._records: list[PluginRecord] = []
        self._warnings: list[str] = []
        self._offers: dict[str, dict[str, Offer[Described]]] = {}
        self._loaded = False
        self.manager = pluggy.PluginManager(PROJECT)
        """pluggy's own view, for its tracing and monitoring."""
        self.manager.add_hookspecs(_hookspecs)

    # -- the pipeline -------------------------------------------------------------------------

    def load(self) -> Self:
        """Run the pipeline; the second time does nothing. Raises nothing of a plugin's."""
        if self._loaded:
            return self
        self._loaded = True
        candidates = discover(self._search_path) if self._discover else []
        self._records = [candidate.record for candidate in candidates]
        self._warnings += gate(
            candidates,
            enabled=self._enabled,
            disabled=self._disabled,
            core_version=self._core_version,
        )
        asked = [
            (record, plugin)
            for record, plugin in self._imported(candidates)
            if self._register(record, plugin)
        ]
        answers = [(record, self._collected(record, plugin)) for record, plugin in asked]
        self._refuse_clashes(answers)
        for record, items in answers:
            if record.status is PluginStatus.ACTIVE:
                for item in items:
                    self._offers.setdefault(item.kind, {})[item.name] = Offer(item, record)
        self._warnings += [
            f"plugin {record.name} of {record.origin} is {record.status}: {record.reason}"
            for record in self._records
            if record.status in _BROKEN
        ]
        return self

    def _imported(self, candidates: Sequence[Candidate]) -> list[tuple[PluginRecord, object]]:
        loaded: list[tuple[PluginRecord, object]] = []
        for candidate in candidates:
            record = candidate.record
            if record.status is not PluginStatus.FOUND:
                continue
            try:
                with patience(self._patience_s):
                    plugin = candidate.entry_point.load()
            except TookTooLong:
                record.end(PluginStatus.FAILED, self._hangs("importing it"))
            except (Exception, SystemExit) as error:  # noqa: BLE001  it is a stranger's code
                record.end(PluginStatus.FAILED, one_line(error))
            else:
                loaded.append((record, plugin))
        for plugin in self._given:
            # What was handed over and is installed too counts once, as the installed one.
            if not any(plugin is other for _, other in loaded):
                record = self._given_record(plugin)
                self._records.append(record)
                loaded.append((record, plugin))
        return loaded

    def _given_record(self, plugin: object) -> PluginRecord:
        name = getattr(plugin, "__name__", type(plugin).__name__)
        taken = {record.name for record in self._records}
        unique, number = name, 2
        while unique in taken:
            unique, number = f"{name}#{number}", number + 1
        target = f"{type(plugin).__module__}:{type(plugin).__qualname__}"
        if hasattr(plugin, "__name__"):
            target = name
        return PluginRecord(name=unique, distribution=None, version=None, target=target)

    def _register(self, record: PluginRecord, plugin: object) -> bool:
        try:
            self.manager.register(plugin, record.name)
        except Exception as error:  # noqa: BLE001  pluggy looks into a stranger's object
            record.end(PluginStatus.FAILED, one_line(error))
            return False
        record.status = PluginStatus.ACTIVE
        return True

    def _collected(self, record: PluginRecord, plugin: object) -> list[Described]:
        try:
            with patience(self._patience_s):
                items = ask(self.manager, plugin)
        except TookTooLong:
            record.end(PluginStatus.FAILED, self._hangs("asking its hooks"))
            return []
        except Unfit as error:
            record.end(PluginStatus.FAILED, str(error))
            return []
        record.provides = [f"{item.kind}:{item.name}" for item in items]
        return items

    def _hangs(self, what: str) -> str:
        return (
            f"{what} took longer than {self._patience_s:g} s and was broken off; a plugin must not"
            " wait for anything before it is opened"
        )

    def _refuse_clashes(self, answers: Sequence[tuple[PluginRecord, list[Described]]]) -> None:
        offerers: dict[tuple[str, str], list[PluginRecord]] = {}
        for record, items in answers:
            for item in items:
                offerers.setdefault((item.kind, item.name), []).append(record)
        for (kind, name), records in offerers.items():
            if len(records) > 1:
                origins = " and ".join(f"{record.name} of {record.origin}" for record in records)
                for record in records:
                    record.end(
                        PluginStatus.CONFLICT,
                        f"the {KIND_WORDS[kind]} {name!r} is offered by the plugins {origins};"
                        " put one of them into plugins.disabled",
                    )

    # -- what came out ------------------------------------------------------------------------

    @property
    def records(self) -> tuple[PluginRecord, ...]:
        """Every plugin found or given, with what became of it, by name."""
        return tuple(sorted(self._records, key=lambda it: (it.name, it.distribution or "")))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with plugins that nobody may have selected; a line each."""
        return tuple(self._warnings)

    @property
    def strict(self) -> bool:
        """Whether warnings count as errors."""
        return self._strict

    def backends(self, kind: str) -> Mapping[str, Offer[AnyBackend]]:
        """The backends of a kind that can be selected, by name."""
        # A kind other than `command` holds backends only: the hooks' answers were examined.
        offers = cast("dict[str, Offer[AnyBackend]]", self._offers.get(kind, {}))
        return dict(sorted(offers.items()))

    @property
    def commands(self) -> Mapping[str, Offer[Command]]:
        """The subcommands that plugins add, by name."""
        offers = cast("dict[str, Offer[Command]]", self._offers.get(Command.kind, {}))
        return dict(sorted(offers.items()))

    def unusable(self) -> list[str]:
        """`name (status: reason)` of every plugin that is not active."""
        return [
            f"{record.name} ({record.status}: {record.reason})"
            for record in self.records
            if record.status is not PluginStatus.ACTIVE
        ]

    def require_sound(self) -> None:
        """Refuse what no selection can excuse.

        Raises:
            Misconfigured: Two plugins claim one name; or, when strict, there is any warning.
        """
        for record in self.records:
            if record.status is PluginStatus.CONFLICT:
                raise Misconfigured(record.reason or "")
        if self._strict and self._warnings:
            raise Misconfigured("; ".join(self._warnings))

    def select(self, kind: str, name: str, *, setting: str) -> Offer[AnyBackend]:
        """The backend that a setting names.

        Args:
            kind: As `Backend.kind`.
            name: The setting's value.
            setting: The setting, for the error.

        Raises:
            Misconfigured: No usable plugin offers it. Names those that could be chosen, and every
                plugin that is not usable with its reason, which usually is the real cause.
        """
        known = self.backends(kind)
        offer = known.get(name)
        if offer is not None:
            return offer
        detail = f"{setting}: there is no {KIND_WORDS[kind]} {name!r}{near_miss(name, known)}"
        detail += f" (usable: {', '.join(known) or 'none'})"
        if unusable := self.unusable():
            detail += f"; plugins that are not usable: {', '.join(unusable)}"
        raise Misconfigured(detail)

    def options(
        self, offer: Offer[AnyBackend], table: Mapping[str, Any], *, place: str
    ) -> msgspec.Struct:
        """The selected backend's options from its table of configuration.

        Raises:
            Misconfigured: As `bind`; or its backend finds them wrong; or they cannot be read.
        """
        options: type[msgspec.Struct] = offer.item.options
        try:
            bound = bind(options, table, place=place)
            problems = [f"{place}.{problem}" for problem in offer.item.problems(bound)]
        except Misconfigured:
            raise
        except Exception as error:
            raise Misconfigured(
                f"{place}: the options of plugin {offer.record.name} of {offer.record.origin}"
                f" cannot be read: {one_line(error)}"
            ) from error
        if problems:
            raise Misconfigured(*problems)
        return bound
