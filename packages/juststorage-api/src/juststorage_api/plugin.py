"""The plugin `api`: authenticators, and the command `juststorage serve`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from juststorage.plugins import AuthenticatorBackend, Command, hookimpl
from juststorage_api._auth import ANONYMOUS, API_KEY, JWT, TRUSTED_HEADER

__all__: list[str] = []


@hookimpl
def juststorage_authenticators() -> Iterable[AuthenticatorBackend[Any]]:
    """Offer the authenticators."""
    yield API_KEY
    yield JWT
    yield ANONYMOUS
    yield TRUSTED_HEADER


@hookimpl
def juststorage_commands() -> Iterable[Command]:
    """Add `juststorage serve`, and what talks to a server."""
    yield Command(
        name="serve",
        summary="Serve the HTTP interface",
        target="juststorage_api._serve:command",
    )
    yield Command(
        name="objects",
        summary="List, fetch, store, delete and copy objects of a server",
        target="juststorage_api._client._objects:command",
    )
    yield Command(
        name="usage",
        summary="Count the objects and bytes of a tenant",
        target="juststorage_api._client._usage:command",
    )
    yield Command(
        name="import",
        summary="Store the files of a directory tree on a server",
        target="juststorage_api._client._import:command",
    )
    yield Command(
        name="export",
        summary="Write objects of a server as the files of a directory tree",
        target="juststorage_api._client._export:command",
    )
