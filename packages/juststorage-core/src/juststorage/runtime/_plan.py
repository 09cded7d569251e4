"""The plan: which backends are to be opened with which options. Decided before any is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from juststorage.config import AuthSection, Config, HasherSection, Section
from juststorage.domain import StorageClass
from juststorage.errors import Misconfigured
from juststorage.plugins._descriptors import AnyBackend
from juststorage.plugins._hints import near_miss
from juststorage.plugins._host import PluginHost
from juststorage.plugins._records import KIND_WORDS, Offer
from juststorage.runtime._tracing import tracing_problems

__all__ = [
    "Choice",
    "Plan",
    "Selected",
    "choose",
    "hasher_choices",
    "make_plan",
    "selection_problems",
    "unknown_tables",
]


class Selected(msgspec.Struct, frozen=True, kw_only=True):
    """What serves an instance: for the first lines of the log, and for people who ask."""

    instance: str
    backend: str
    plugin: str
    distribution: str | None
    version: str | None


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, its options, and where it serves."""

    instance: str
    offer: Offer[AnyBackend]
    options: msgspec.Struct

    @property
    def selected(self) -> Selected:
        """The record of this choice."""
        return Selected(
            instance=self.instance,
            backend=self.offer.name,
            plugin=self.offer.record.name,
            distribution=self.offer.record.distribution,
            version=self.offer.record.version,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Every choice."""

    metadata: Choice
    blobs: Mapping[StorageClass, Choice]
    hasher: Choice
    other_hashers: tuple[Choice, ...]
    gc_policy: Choice
    authenticators: tuple[Choice, ...]

    def choices(self) -> list[Choice]:
        """What was selected, in the order of opening."""
        return [
            self.metadata,
            *self.blobs.values(),
            self.hasher,
            self.gc_policy,
            *self.authenticators,
        ]


def make_plan(config: Config, host: PluginHost) -> Plan:
    """Select and bind everything.

    Raises:
        Misconfigured: What is selected is missing or has wrong options; a sentence for each.
    """
    chosen, problems = _choose_all(config, host)
    if problems:
        raise Misconfigured(*problems)
    return Plan(
        metadata=chosen["metadata"][0],
        blobs={
            storage_class: choice
            for storage_class in StorageClass
            for choice in chosen[f"blobs.{storage_class}"]
        },
        hasher=chosen["hasher"][0],
        other_hashers=hasher_choices(config, host)[1],
        gc_policy=chosen["gc"][0],
        authenticators=tuple(chosen["auth"]),
    )


def hasher_choices(config: Config, host: PluginHost) -> tuple[Choice, tuple[Choice, ...]]:
    """The hasher of new content; and all others that are known.

    Raises:
        Misconfigured: It is missing, or one of them has wrong options.
    """
    chosen = config.hasher.backend
    others = sorted(set(host.backends(HasherSection.kind)) - {chosen})
    return (
        choose(host, "hasher", config.hasher, chosen),
        tuple(choose(host, "hasher", config.hasher, name) for name in others),
    )


def selection_problems(config: Config, host: PluginHost) -> list[str]:
    """What `make_plan` would refuse, a sentence each. Backends that are not named are no matter."""
    return _choose_all(config, host)[1]


def unknown_tables(config: Config, host: PluginHost) -> list[str]:
    """Tables of options for backends that no usable plugin offers, a line each.

    Tables of backends that are merely not selected are fine: one file may serve several set-ups.
    """
    return [
        f"{place}.{name}: there is no {KIND_WORDS[section.kind]} {name!r}"
        f"{near_miss(name, host.backends(section.kind))}"
        for place, section in config.sections().items()
        for name in sorted(set(section.tables) - set(host.backends(section.kind)))
    ]


def _choose_all(config: Config, host: PluginHost) -> tuple[dict[str, list[Choice]], list[str]]:
    chosen: dict[str, list[Choice]] = {}
    problems = tracing_problems(config.tracing)
    for place, section in config.sections().items():
        chosen[place] = []
        for name in dict.fromkeys(section.chosen):
            try:
                chosen[place].append(choose(host, place, section, name))
            except Misconfigured as error:
                problems += error.problems
    return chosen, problems


def choose(host: PluginHost, place: str, section: Section, name: str) -> Choice:
    """Select and bind one.

    Raises:
        Misconfigured: It is missing, or has wrong options.
    """
    setting = f"{place}.{section.selector}"
    if section.chosen.count(name) > 1:
        raise Misconfigured(f"{setting}: {name!r} is named twice")
    offer = host.select(section.kind, name, setting=setting)
    options = host.options(offer, section.table(name), place=f"{place}.{name}")
    # An authenticator is named in its instance: there are several.
    instance = f"{place}.{name}" if section.kind == AuthSection.kind else place
    return Choice(instance, offer, options)
