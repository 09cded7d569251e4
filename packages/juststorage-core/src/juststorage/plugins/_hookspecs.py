"""The hooks that a plugin may implement.

Every hook is sync, takes nothing and yields descriptors. Hooks run once, at start-up; none is ever
called while a request is served. A plugin implements those it needs:

    from juststorage.plugins import BlobStoreBackend, hookimpl

    @hookimpl
    def juststorage_blob_stores():
        yield BlobStoreBackend(name="tape", summary="...", options=TapeOptions, open=open_tape)

and names its module in an entry point of the group `juststorage.plugins`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from juststorage.plugins._descriptors import (
    AuthenticatorBackend,
    BlobStoreBackend,
    Command,
    GCPolicyBackend,
    HasherBackend,
    MetadataStoreBackend,
)
from juststorage.plugins._markers import hookspec


@hookspec
def juststorage_metadata_stores() -> Iterable[MetadataStoreBackend[Any]]:  # type: ignore[empty-body]
    """Yield the metadata stores that this plugin offers."""


@hookspec
def juststorage_blob_stores() -> Iterable[BlobStoreBackend[Any]]:  # type: ignore[empty-body]
    """Yield the blob stores that this plugin offers."""


@hookspec
def juststorage_hashers() -> Iterable[HasherBackend[Any]]:  # type: ignore[empty-body]
    """Yield the hashers that this plugin offers."""


@hookspec
def juststorage_authenticators() -> Iterable[AuthenticatorBackend[Any]]:  # type: ignore[empty-body]
    """Yield the authenticators that this plugin offers."""


@hookspec
def juststorage_gc_policies() -> Iterable[GCPolicyBackend[Any]]:  # type: ignore[empty-body]
    """Yield the garbage collection policies that this plugin offers."""


@hookspec
def juststorage_commands() -> Iterable[Command]:  # type: ignore[empty-body]
    """Yield the subcommands that this plugin adds to `juststorage`."""
