"""Put together what the options ask for, or say what is wrong with them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

from juststorage.domain import Scope
from juststorage.errors import Misconfigured
from juststorage.plugins import OpenContext
from juststorage.ports import Authenticator
from juststorage_api._auth._jwt_options import JwtOptions
from juststorage_api._auth.jwt._authenticator import JwtAuthenticator
from juststorage_api._auth.jwt._claims import ClaimRules
from juststorage_api._auth.jwt._keys import KeyRing, secret_ring, single_ring
from juststorage_api._auth.jwt._reading import FileReader, require_safe_url, url_reader
from juststorage_api._auth.jwt._rings import FixedRing, ReadRing

__all__ = ["open_jwt"]

_SOURCES: Final = ("discovery", "jwks_url", "jwks_file", "public_key", "secret")


@asynccontextmanager
async def open_jwt(options: JwtOptions, context: OpenContext) -> AsyncIterator[Authenticator]:
    """The authenticator. An issuer that does not answer does not keep the service from starting.

    Raises:
        Misconfigured: The options contradict each other, or a key is of no use.
    """
    _check(options, context.instance)
    authenticator = JwtAuthenticator(
        ClaimRules(options),
        clock=context.clock,
        cache_size=options.cache_size,
        logger=context.logger,
    )
    async with AsyncExitStack() as stack:
        read: Callable[[], Awaitable[KeyRing]] | None = None
        if options.jwks_file is not None:
            read = FileReader(Path(options.jwks_file), options)
        elif options.jwks_url is not None or options.discovery:
            read = await stack.enter_async_context(url_reader(options, context.tracer))
        if read is None:
            authenticator.source = FixedRing(_fixed(options, context.instance))
        else:
            source = ReadRing(
                read,
                clock=context.clock,
                refresh_s=options.refresh_s,
                cooldown_s=options.cooldown_s,
                logger=context.logger,
                changed=authenticator.forget,
            )
            authenticator.source = source
            context.background("refresh the keys of the token issuer", source.run)
        yield authenticator


def _check(options: JwtOptions, instance: str) -> None:
    named = [name for name in _SOURCES if getattr(options, name) not in {None, False}]
    if len(named) != 1:
        raise Misconfigured(f"{instance}: set one of {', '.join(_SOURCES)}, and only one")
    for name in options.algorithms:
        # HS256 with a public key as the secret is how tokens are forged: never both.
        if name.startswith("HS") != (named[0] == "secret"):
            raise Misconfigured(f"{instance}.algorithms: {name} does not go with {named[0]}")
    if options.jwks_url is not None:
        require_safe_url(f"{instance}.jwks_url", options.jwks_url, options)
    if options.discovery:
        require_safe_url(f"{instance}.issuer", options.issuer, options)
    known = frozenset(map(str, Scope))
    granted = {*options.default_scopes, *(x for each in options.scope_map.values() for x in each)}
    if granted - known:
        scopes = ", ".join(sorted(known))
        raise Misconfigured(f"{instance}: {min(granted - known)!r} is no scope; use {scopes}")


def _fixed(options: JwtOptions, instance: str) -> KeyRing:
    try:
        if options.secret is not None:
            return secret_ring(options.secret.reveal(), options.algorithms)
        assert options.public_key is not None
        return single_ring(options.public_key.reveal(), options.algorithms)
    except ValueError as error:
        name = "secret" if options.secret is not None else "public_key"
        raise Misconfigured(f"{instance}.{name}: {error}") from None
