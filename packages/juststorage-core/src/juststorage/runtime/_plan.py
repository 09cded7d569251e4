"""The plan: which backends are to be opened with which options. Decided before any is opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from juststorage.config import ColdBlobsSection, Config, HotBlobsSection
from juststorage.domain import StorageClass
from juststorage.errors import Misconfigured
from juststorage.plugins._descriptors import AnyBackend
from juststorage.plugins._host import PluginHost
from juststorage.plugins._records import Offer

__all__ = ["Choice", "Plan", "Selected", "make_plan"]


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
        Misconfigured: Something selected is missing or has wrong options.
    """

    def choose(kind: str, name: str, setting: str, place: str, tables: Mapping[str, Any]) -> Choice:
        offer = host.select(kind, name, setting=setting)
        options = host.options(offer, tables.get(name, {}), place=f"{place}.{name}")
        # An authenticator is named in its instance: there are several.
        instance = f"{place}.{name}" if kind == "authenticator" else place
        return Choice(instance, offer, options)

    sections: dict[StorageClass, HotBlobsSection | ColdBlobsSection] = {
        StorageClass.HOT: config.blobs.hot,
        StorageClass.COLD: config.blobs.cold,
    }
    metadata = config.metadata
    assert metadata.backend is not None  # a Config has it
    return Plan(
        metadata=choose(
            "metadata_store", metadata.backend, "metadata.backend", "metadata", metadata.tables
        ),
        blobs={
            storage_class: choose(
                "blob_store",
                section.backend,
                f"blobs.{storage_class}.backend",
                f"blobs.{storage_class}",
                section.tables,
            )
            for storage_class, section in sections.items()
            if section.backend is not None
        },
        hasher=choose(
            "hasher", config.hasher.backend, "hasher.backend", "hasher", config.hasher.tables
        ),
        other_hashers=tuple(
            choose("hasher", name, "hasher.backend", "hasher", config.hasher.tables)
            for name in host.backends("hasher")
            if name != config.hasher.backend
        ),
        gc_policy=choose("gc_policy", config.gc.policy, "gc.policy", "gc", config.gc.tables),
        authenticators=tuple(
            choose("authenticator", name, "auth.chain", "auth", config.auth.tables)
            for name in _once(config.auth.chain)
        ),
    )


def _once(chain: tuple[str, ...]) -> tuple[str, ...]:
    for name in chain:
        if chain.count(name) > 1:
            raise Misconfigured(f"auth.chain: {name!r} is named twice")
    return chain
