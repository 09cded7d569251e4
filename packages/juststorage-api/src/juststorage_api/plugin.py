"""The plugin `api`: the authenticator `api_key`, and the command `juststorage serve`."""

from __future__ import annotations

from collections.abc import Iterable

from juststorage.plugins import AuthenticatorBackend, Command, hookimpl
from juststorage_api._auth import API_KEY, ApiKeyOptions

__all__: list[str] = []


@hookimpl
def juststorage_authenticators() -> Iterable[AuthenticatorBackend[ApiKeyOptions]]:
    """Offer the authenticator for API keys."""
    yield API_KEY


@hookimpl
def juststorage_commands() -> Iterable[Command]:
    """Add `juststorage serve`."""
    yield Command(
        name="serve",
        summary="Serve the HTTP interface",
        target="juststorage_api._serve:command",
    )
