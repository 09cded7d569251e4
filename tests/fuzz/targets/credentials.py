"""Who is calling: credentials in header fields, tokens of an issuer, and the issuer's keys."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import Any

import httpx2
from hypothesis import strategies as st

from juststorage.domain import Principal
from juststorage.errors import Unavailable
from juststorage.plugins.memory._api_keys import MemoryApiKeyRepository
from juststorage.ports import Authenticator, Credentials
from juststorage.testing import FakeClock
from juststorage_api._auth._api_key import ApiKeyAuthenticator
from juststorage_api._auth._jwt_options import JwtOptions
from juststorage_api._auth._trusted_header import TrustedHeaderAuthenticator, TrustedHeaderOptions
from juststorage_api._auth.jwt._authenticator import JwtAuthenticator
from juststorage_api._auth.jwt._claims import ClaimRules
from juststorage_api._auth.jwt._keys import secret_ring
from juststorage_api._auth.jwt._reading import UrlReader
from juststorage_api._auth.jwt._rings import FixedRing
from juststorage_api._authentication import Authentication
from tests.fuzz.fuzzing import Read, Target
from tests.fuzz.inputs import bytes_near, json_near

__all__ = ["TARGETS"]

_SECRET = "a secret of thirty-two bytes or more"
_ISSUER = "https://issuer.test"
_FOR_ALL = {"iss": _ISSUER, "aud": "juststorage", "sub": "somebody", "exp": 2_000_000_000}
_CLAIMS = (
    _FOR_ALL,
    _FOR_ALL | {"tenants": ["acme"], "scope": "objects:read admin", "nbf": 1, "iat": 1.5},
    _FOR_ALL | {"aud": ["a", "juststorage"], "tenants": "*", "roles": {"of": ["reader"]}},
)


def _segment(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _jwt() -> JwtAuthenticator:
    options = JwtOptions(
        issuer=_ISSUER,
        audience=("juststorage",),
        algorithms=("HS256",),
        namespaces_claim="roles.of",
        scope_map={"reader": ("objects:read",)},
    )
    logger = logging.getLogger("juststorage.fuzz")
    made = JwtAuthenticator(ClaimRules(options), clock=FakeClock(), cache_size=0, logger=logger)
    made.source = FixedRing(secret_ring(_SECRET, options.algorithms))
    return made


# -- tokens -----------------------------------------------------------------------------------


@contextmanager
def _token_opened() -> Iterator[Read]:
    authenticator = _jwt()
    with asyncio.Runner() as runner:

        def read(value: tuple[bytes, bytes, str | None]) -> str | None:
            """Only with our signature is anything believed, whatever the rest says."""
            header, payload, signature = value
            signed = f"{_segment(header)}.{_segment(payload)}"
            right = hmac.digest(_SECRET.encode(), signed.encode(), hashlib.sha256)
            text = f"{signed}.{_segment(right) if signature is None else signature}"
            found = runner.run(authenticator.authenticate(Credentials(scheme="bearer", token=text)))
            assert found is not None
            assert found.subject.startswith("jwt:")
            assert signature is None or text.endswith(_segment(right)), "a forged token is believed"
            return None

        yield read


_TOKENS = st.tuples(
    json_near(
        ["alg", "typ", "kid", "crit", "b64", "jwk", "zip"],
        ["HS256", "none", "RS256", "JWT", "at+jwt", "application/JWT"],
        [{"alg": "HS256"}, {"alg": "HS256", "typ": "JWT", "kid": "a"}],
    )
    | st.just(b'{"alg":"HS256"}'),
    json_near(
        [*_FOR_ALL, "nbf", "iat", "tenants", "scope", "roles", "of"],
        [*_FOR_ALL.values(), "*", "acme", "objects:read", ["acme"], {"of": ["a*"]}, [1] * 300],
        _CLAIMS,
    ),
    st.none()
    | st.none()
    | bytes_near([b"AAAA"], [b".", b"=", b"-", b"_", b"\xe4"]).map(
        lambda raw: raw.decode("latin-1")
    ),
)

# -- the keys of an issuer --------------------------------------------------------------------

_WELL_KNOWN = {"issuer": _ISSUER, "jwks_uri": _ISSUER + "/keys"}
_KEY = {"kty": "OKP", "crv": "Ed25519", "kid": "a", "use": "sig", "alg": "EdDSA",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}  # fmt: skip


@contextmanager
def _keyset_opened() -> Iterator[Read]:
    documents: dict[str, bytes] = {}

    def answer(request: httpx2.Request) -> httpx2.Response:
        is_first = request.url.path == "/.well-known/openid-configuration"
        return httpx2.Response(200, content=documents["first" if is_first else "keys"])

    options = JwtOptions(
        issuer=_ISSUER,
        audience=("juststorage",),
        algorithms=("RS256", "ES256", "EdDSA"),
        discovery=True,
    )
    client = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    reader = UrlReader(client, options)
    with asyncio.Runner() as runner:

        def read(value: tuple[bytes, bytes]) -> str | None:
            """A set that is read is the same when it is read again, and has a key."""
            documents.update(first=value[0], keys=value[1])
            ring = runner.run(reader())
            assert ring
            assert ring == runner.run(reader())
            ring.knows("a")
            return None

        yield read
        runner.run(client.aclose())


_KEYSETS = st.tuples(
    json_near(
        ["issuer", "jwks_uri"],
        [*_WELL_KNOWN.values(), "https://a:99999/", "https://[::1", "https://\x7f/", "https://xn--/",
         "https://a b/", "http://localhost/", "https://\ud800/", "https://a.test/" + "b" * 70_000],
        [_WELL_KNOWN],
    )
    | st.just(b'{"issuer":"https://issuer.test","jwks_uri":"https://issuer.test/keys"}'),
    json_near(
        ["keys", *_KEY, "key_ops", "n", "e", "y", "d"],
        [*_KEY.values(), "RSA", "EC", "oct", "AQAB", "P-256", ["verify"], [_KEY], _KEY,
         [_KEY, _KEY]],
        [{"keys": [_KEY]}, {"keys": [_KEY | {"key_ops": ["verify"]}, {"kty": "EC"}]}],
    ),
)  # fmt: skip

# -- header fields ----------------------------------------------------------------------------


@contextmanager
def _credential_opened() -> Iterator[Read]:
    clock = FakeClock()
    keys = MemoryApiKeyRepository(clock, became=lambda *_: None)
    proxies = TrustedHeaderOptions(peers=("127.0.0.1/32",), namespaces_header="X-Auth-Namespaces")
    names = ("trusted_header", "api_key", "jwt")
    chain: list[Authenticator] = [
        TrustedHeaderAuthenticator(proxies, [ip_network("127.0.0.1/32")]),
        ApiKeyAuthenticator(keys, clock=clock, cache_ttl_s=5, cache_size=100, used=lambda _: None),
        _jwt(),
    ]
    authentication = Authentication(chain, names)
    with asyncio.Runner() as runner:

        def read(value: list[tuple[bytes, bytes]]) -> str | None:
            """Nobody is known but whom the proxy names, once."""
            scope: dict[str, Any] = {"headers": value, "client": ("127.0.0.1", 1)}
            found: Principal = runner.run(authentication.principal(scope, dict(value)))
            assert found.subject.startswith("header:")
            assert [name for name, _ in value].count(b"x-auth-subject") == 1
            return None

        yield read


_CREDENTIALS = st.lists(
    st.tuples(
        st.sampled_from([b"authorization", b"x-api-key", b"x-auth-subject", b"x-auth-tenants",
                         b"x-auth-scopes", b"x-auth-namespaces"]),
        bytes_near(
            [b"ApiKey js_0123456789ab_" + b"A" * 43, b"js_0123456789ab_" + b"A" * 43,
             b"Bearer eyJhbGciOiJIUzI1NiJ9.e30.AAAA", b"Basic YTpi", b"somebody", b"acme, other",
             b"*", b"objects:read admin", b"team-* docs"],
            [b" ", b",", b"*", b".", b"Bearer ", b"ApiKey ", b"bearer\t", b"a,", b"\xff",
             b"\xa0", b"\x85",
             b"=", b"eyJhbGciOiJub25lIn0", b"js_"],
        ),
    ),
    max_size=4,
)  # fmt: skip

TARGETS = {
    "token": Target(_TOKENS, opened=_token_opened),
    "keyset": Target(
        _KEYSETS, is_refusal=lambda error: isinstance(error, Unavailable), opened=_keyset_opened
    ),
    "credential": Target(_CREDENTIALS, opened=_credential_opened),
}
