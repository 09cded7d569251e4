"""The descriptor of the authenticator `api_key`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from juststorage.errors import Invalid
from juststorage.plugins import AuthenticatorBackend, OpenContext
from juststorage.ports import Authenticator
from juststorage_api._auth._options import ApiKeyOptions

__all__ = ["API_KEY"]


@asynccontextmanager
async def _open(options: ApiKeyOptions, context: OpenContext) -> AsyncIterator[Authenticator]:
    from juststorage_api._auth._api_key import ApiKeyAuthenticator
    from juststorage_api._auth._bootstrap import register_bootstrap_key
    from juststorage_api._auth._last_used import LastUsed

    assert context.metadata is not None, "authenticators open after the metadata store"
    keys = context.metadata.api_keys
    if options.bootstrap_key is not None:
        await register_bootstrap_key(options.bootstrap_key, keys, context)
    last_used = LastUsed(keys, clock=context.clock, logger=context.logger)
    context.background("record when API keys were last used", last_used.run)
    try:
        yield ApiKeyAuthenticator(
            keys,
            clock=context.clock,
            cache_ttl_s=options.cache_ttl_s,
            cache_size=options.cache_size,
            used=last_used.add,
        )
    finally:
        await last_used.flush_at_close()


def _problems(options: ApiKeyOptions) -> Iterator[str]:
    from juststorage_api._auth._bootstrap import parse_bootstrap_key

    if options.bootstrap_key is None:
        return
    try:
        parse_bootstrap_key(options.bootstrap_key)
    except Invalid as error:
        yield f"bootstrap_key: {error.detail}"


API_KEY = AuthenticatorBackend(
    name="api_key",
    summary="Keys that this service issues, kept as hashes",
    options=ApiKeyOptions,
    open=_open,
    problems=_problems,
)
