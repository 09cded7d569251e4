"""Reading key sets: from a file, from a URL, or from where OpenID Connect discovery leads."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
import httpx2

from juststorage.errors import Misconfigured, Unavailable
from juststorage.ports import Tracer
from juststorage_api._auth._jwt_options import JwtOptions
from juststorage_api._auth.jwt._keys import KeyRing, set_ring

__all__ = ["FileReader", "UrlReader", "require_safe_url", "url_reader"]

_DOCUMENT_BYTES_MAX: Final = 262_144
_WELL_KNOWN: Final = "/.well-known/openid-configuration"


class FileReader:
    """A key set in a file. Replace it as a whole: it is read at any time."""

    def __init__(self, path: Path, options: JwtOptions) -> None:
        self._path = path
        self._algorithms = options.algorithms

    async def __call__(self) -> KeyRing:
        """Read it.

        Raises:
            Unavailable: It cannot be read, or is no key set that is of use.
        """
        return await anyio.to_thread.run_sync(self.read_now)

    def read_now(self) -> KeyRing:
        """The same, in this thread."""
        try:
            with self._path.open("rb") as file:
                data = file.read(_DOCUMENT_BYTES_MAX + 1)
        except OSError as error:
            raise Unavailable(f"the key set's file: {error.strerror}") from error
        return _ring(data, self._algorithms)


class UrlReader:
    """A key set at a URL. One that is slow, large or broken costs one timeout and no more."""

    def __init__(
        self, client: httpx2.AsyncClient, options: JwtOptions, tracer: Tracer | None = None
    ) -> None:
        self._client = client
        self._options = options
        self._tracer = tracer

    async def __call__(self) -> KeyRing:
        """Read it.

        Raises:
            Unavailable: It cannot be read within the timeout, or is none that is of use.
        """
        try:
            with anyio.fail_after(self._options.fetch_timeout_s):
                url = self._options.jwks_url or await self._discovered()
                data = await self._get(url)
        except TimeoutError:
            raise Unavailable("the key set's server did not answer in time") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Unavailable(f"the key set's server: {type(error).__name__}: {error}") from error
        return _ring(data, self._options.algorithms)

    async def _discovered(self) -> str:
        """Where the issuer has its keys (OpenID Connect Discovery 1.0, 4)."""
        issuer = self._options.issuer
        document = _json(await self._get(issuer.rstrip("/") + _WELL_KNOWN))
        if not isinstance(document, dict) or document.get("issuer") != issuer:
            raise Unavailable("the discovery document is another issuer's")
        url = document.get("jwks_uri")
        if not isinstance(url, str) or not _is_safe(url, self._options):
            raise Unavailable("the discovery document has no jwks_uri with TLS")
        return url

    async def _get(self, url: str) -> bytes:
        if self._tracer is None:
            return await self._answer(url, {})
        about = {"http.request.method": "GET", "server.address": urlsplit(url).hostname or ""}
        with self._tracer.span("GET", about, kind="client", begins=True):
            return await self._answer(url, self._tracer.headers())

    async def _answer(self, url: str, headers: Mapping[str, str]) -> bytes:
        data = bytearray()
        async with self._client.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                raise Unavailable(f"the key set's server answered {response.status_code}")
            async for chunk in response.aiter_bytes():
                data += chunk
                if len(data) > _DOCUMENT_BYTES_MAX:
                    raise Unavailable(f"the key set is over {_DOCUMENT_BYTES_MAX} bytes")
        return bytes(data)


@asynccontextmanager
async def url_reader(options: JwtOptions, tracer: Tracer | None = None) -> AsyncIterator[UrlReader]:
    """A reader with a connection pool of its own."""
    client = httpx2.AsyncClient(
        timeout=options.fetch_timeout_s,
        follow_redirects=False,  # a redirect would choose the keys
        trust_env=options.use_proxy,
        limits=httpx2.Limits(max_connections=2, max_keepalive_connections=1),
        headers={"accept": "application/json, application/jwk-set+json"},
    )
    async with client:
        yield UrlReader(client, options, tracer)


def require_safe_url(setting: str, url: str, options: JwtOptions) -> None:
    """Refuse to take keys from where anyone on the way could give us theirs.

    Raises:
        Misconfigured: It has no TLS, and is not on loopback.
    """
    if not _is_safe(url, options):
        raise Misconfigured(f"{setting}: must be an https URL (or set allow_http = true)")


def _is_safe(url: str, options: JwtOptions) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    if not host or parts.username is not None:
        return False
    if parts.scheme == "https":
        return True
    return parts.scheme == "http" and (options.allow_http or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _ring(data: bytes, algorithms: tuple[str, ...]) -> KeyRing:
    if len(data) > _DOCUMENT_BYTES_MAX:
        raise Unavailable(f"the key set is over {_DOCUMENT_BYTES_MAX} bytes")
    try:
        return set_ring(_json(data), algorithms)
    except ValueError as error:
        raise Unavailable(f"the key set: {error}") from error


def _json(data: bytes, loads: Callable[[bytes], Any] = json.loads) -> Any:
    try:
        return loads(data)
    except (ValueError, RecursionError):
        raise Unavailable("the document is no JSON") from None
