"""Descriptors: what a plugin's hooks yield. Data only; nothing is opened by describing it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import msgspec

from juststorage.plugins._context import OpenContext
from juststorage.ports import Authenticator, BlobStore, GCPolicy, Hasher, MetadataStore

__all__ = [
    "AuthenticatorBackend",
    "Backend",
    "BlobCapabilities",
    "BlobStoreBackend",
    "Command",
    "GCPolicyBackend",
    "HasherBackend",
    "MetadataStoreBackend",
    "MigrationStatus",
    "Migrator",
    "NoOptions",
]

OptionsT = TypeVar("OptionsT", bound=msgspec.Struct)
ServiceT_co = TypeVar("ServiceT_co", covariant=True)


class NoOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The options of a backend that has none."""


def _no_problems(options: Any) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend(Generic[OptionsT, ServiceT_co]):
    """One choice for one kind of service.

    Args:
        name: How configuration names it: `[a-z][a-z0-9_]*`, so that an environment variable can
            spell it. Unique per kind.
        summary: One line for people, shown by `juststorage plugins`.
        options: A frozen `msgspec.Struct`, keyword-only, that forbids unknown fields. Field docs go
            in `Annotated[..., msgspec.Meta(description=...)]`.
        open: An async context manager factory. What it yields is the service; leaving it closes
            the service. Import what is heavy inside it.
        problems: What is wrong with options whose types are right, such as a URL of another scheme:
            a sentence for each, which begins with the option's name and a colon and never repeats
            a secret. Opens nothing and asks nobody: `juststorage config check` tells of it, too.
    """

    kind: ClassVar[str]

    name: str
    summary: str
    options: type[OptionsT]
    open: Callable[[OptionsT, OpenContext], AbstractAsyncContextManager[ServiceT_co]]
    problems: Callable[[OptionsT], Iterable[str]] = _no_problems


class BlobCapabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a blob store can do beyond its abstract methods. Declared means tested.

    Args:
        local_path: Its readers have a `local_path` that a server can send by itself.
        read_now: Its readers answer `read_now`.
        trash: `remove` keeps the bytes until `purge`; `restore` and `trash` work.
        fixed_names: The locator follows from the content hash alone; False means generations.
        space: `space` answers.
        stable_readers: An open reader goes on after its blob was removed. Without, it fails, and
            the grace period of the collector is what protects downloads.
        identity: Its readers have `identity` and `from_memory`. Without, core hashes every whole
            content that it sends.
        resumable: `begin_resumable`, `resume`, `resumable_bytes` and `discard_resumable` work.
            Without, an upload that breaks off is sent again as a whole.
    """

    local_path: bool = False
    read_now: bool = False
    trash: bool = False
    fixed_names: bool = False
    space: bool = False
    stable_readers: bool = False
    identity: bool = False
    resumable: bool = False


NO_CAPABILITIES = BlobCapabilities()


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobStoreBackend(Backend[OptionsT, BlobStore]):
    """A place for bytes; configured as `[blobs.hot]` and `[blobs.cold]`.

    `durable` False (memory) makes `serve` refuse it unless `allow_ephemeral` is set.
    """

    kind: ClassVar[str] = "blob_store"

    capabilities: BlobCapabilities = NO_CAPABILITIES
    durable: bool = True


class MigrationStatus(msgspec.Struct, frozen=True, kw_only=True):
    """Where a schema stands. Revisions are the store's own words; None means no schema yet."""

    current: str | None
    head: str
    pending: list[str]


class Migrator(ABC):
    """Changes the schema of one configured metadata store. Sync: used by the command line only."""

    def place(self) -> str:
        """What the store is and where, for people: never a user or a password of it."""
        return "the metadata store"

    @abstractmethod
    def status(self) -> MigrationStatus:
        """Where the schema stands."""

    @abstractmethod
    def up(self) -> None:
        """Go to the head revision; safe to run from several places at once."""

    @abstractmethod
    def down(self, revision: str) -> None:
        """Go back to `revision`."""

    @abstractmethod
    def sql(self) -> str:
        """The statements that `up` would run, for people who run them by hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataStoreBackend(Backend[OptionsT, MetadataStore]):
    """A source of truth; configured as `[metadata]`.

    `open` refuses a schema that is outdated or newer, with the command to run, which is
    `OpenContext.migrate`; `migrator` makes what runs that command. None for stores without a
    schema. `durable` False (memory) makes `serve` refuse it unless `allow_ephemeral` is set.
    """

    kind: ClassVar[str] = "metadata_store"

    durable: bool = True
    migrator: Callable[[OptionsT, OpenContext], Migrator] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HasherBackend(Backend[OptionsT, Hasher]):
    """A hash function; `[hasher]` chooses the one for new content, all known ones read."""

    kind: ClassVar[str] = "hasher"


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthenticatorBackend(Backend[OptionsT, Authenticator]):
    """A way to recognize callers; `[auth] chain` orders them."""

    kind: ClassVar[str] = "authenticator"


@dataclass(frozen=True, slots=True, kw_only=True)
class GCPolicyBackend(Backend[OptionsT, GCPolicy]):
    """A choice among garbage; `policy` in `[gc]` names it."""

    kind: ClassVar[str] = "gc_policy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A command line subcommand.

    It gets its configuration by `juststorage.cli.config_options`, and opens what that selects with
    `juststorage.runtime.open_runtime`: the same backends, guarded as in the service. What is
    recorded is read through `Runtime.metadata`, whose repositories have a page of their own
    (metadata_store.md); what changes objects goes through `UseCases`.

    **Durability.** What it changes through the opened services is as durable as they are. With
    `create=False` it makes no store where there is none, which is right for all that only look.

    **Cancellation.** Ctrl-C ends it with an exception; `open_runtime` closes everything on the way.

    **Errors.** Those of `juststorage.errors` may leave it: the command line prints their sentence,
    without a traceback, and exits with 2 for `Misconfigured` and 1 for the others. 0 means done.
    A command that takes `juststorage.cli.json_option` gets a document with their code printed, too,
    where it was called with `--json`.

    **Concurrency.** It runs beside the service, as a process of its own on the same store.

    Args:
        name: As typed after `juststorage`. Names of core's own commands are refused.
        summary: One line for `--help`.
        target: `module:attribute` of a `click.Command`, imported only when the command is used.
    """

    kind: ClassVar[str] = "command"

    name: str
    summary: str
    target: str


AnyBackend = Backend[Any, Any]
