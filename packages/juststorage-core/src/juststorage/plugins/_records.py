"""What the host knows about each plugin, and about each thing that one offers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from juststorage.plugins._descriptors import (
    AuthenticatorBackend,
    Backend,
    BlobStoreBackend,
    Command,
    GCPolicyBackend,
    HasherBackend,
    MetadataStoreBackend,
)

__all__ = [
    "HOOKS",
    "KIND_WORDS",
    "RESERVED_COMMANDS",
    "Described",
    "Offer",
    "PluginRecord",
    "PluginStatus",
]

Described = Backend[Any, Any] | Command
DescribedT_co = TypeVar("DescribedT_co", bound=Described, covariant=True)

HOOKS: Mapping[str, type[Described]] = {
    "juststorage_metadata_stores": MetadataStoreBackend,
    "juststorage_blob_stores": BlobStoreBackend,
    "juststorage_hashers": HasherBackend,
    "juststorage_authenticators": AuthenticatorBackend,
    "juststorage_gc_policies": GCPolicyBackend,
    "juststorage_commands": Command,
}
"""Each hook and the class of what it yields."""

KIND_WORDS: Mapping[str, str] = {
    "metadata_store": "metadata store",
    "blob_store": "blob store",
    "hasher": "hasher",
    "authenticator": "authenticator",
    "gc_policy": "GC policy",
    "command": "command",
}
"""How a sentence names each kind."""

RESERVED_COMMANDS = frozenset(
    {"backup", "config", "doctor", "fsck", "gc", "keys", "migrate", "plugins", "verify", "version"}
)
"""Subcommands that core has, or keeps for itself."""


class PluginStatus(StrEnum):
    """How far a plugin came."""

    FOUND = "found"
    """Known from metadata; not imported yet."""
    ACTIVE = "active"
    """Loaded; what it provides can be selected."""
    DISABLED = "disabled"
    """Left out by configuration; not imported."""
    INCOMPATIBLE = "incompatible"
    """It was not made for this version of core; not imported."""
    FAILED = "failed"
    """It broke while it was loaded or asked; nothing of it can be selected."""
    CONFLICT = "conflict"
    """It and another one claim the same name."""


@dataclass(slots=True, kw_only=True)
class PluginRecord:
    """One plugin: where it comes from, what became of it, and why."""

    name: str
    distribution: str | None
    version: str | None
    target: str
    """`module` or `module:attribute` of its entry point; for one that was handed over, its type."""
    status: PluginStatus = PluginStatus.FOUND
    reason: str | None = None
    """Why it is not active, in one line; None for an active one."""
    provides: list[str] = field(default_factory=list)
    """`kind:name` of everything it offers, sorted."""

    @property
    def origin(self) -> str:
        """The distribution with its version, for people."""
        if self.distribution is None:
            return f"{self.target}, given by the program"
        return f"{self.distribution} {self.version}"

    def end(self, status: PluginStatus, reason: str) -> None:
        """Take it out of the game."""
        self.status = status
        self.reason = reason
        self.provides = []


@dataclass(frozen=True, slots=True)
class Offer(Generic[DescribedT_co]):
    """A descriptor, and the plugin that it comes from."""

    item: DescribedT_co
    record: PluginRecord

    @property
    def kind(self) -> str:
        """The descriptor's kind."""
        return self.item.kind

    @property
    def name(self) -> str:
        """The descriptor's name."""
        return self.item.name
