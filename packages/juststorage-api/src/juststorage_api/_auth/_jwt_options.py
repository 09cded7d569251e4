"""The options of the authenticator `jwt`."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from juststorage.plugins import Secret

__all__ = ["JwtOptions"]

Algorithm = Literal[
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
    "HS256",
    "HS384",
    "HS512",
]
_Text = Annotated[str, Meta(min_length=1, max_length=2048)]
_Seconds = Annotated[float, Meta(ge=0, le=86_400)]


class JwtOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[auth.jwt]`: tokens that somebody else issues. Name exactly one source of keys."""

    issuer: Annotated[_Text, Meta(description="What `iss` must be, to the letter")]
    audience: Annotated[
        tuple[_Text, ...],
        Meta(min_length=1, description="`aud` must have one of these"),
    ]
    algorithms: Annotated[
        tuple[Algorithm, ...],
        Meta(min_length=1, description="What `alg` may be; never taken from a token"),
    ] = ("RS256",)
    types: Annotated[
        tuple[_Text, ...],
        Meta(description="What `typ` may be where a token has one; case does not matter"),
    ] = ("JWT", "at+jwt")
    leeway_s: Annotated[
        float,
        Meta(ge=0, le=300, description="How far the issuer's clock may differ from ours"),
    ] = 30.0

    discovery: Annotated[
        bool,
        Meta(description="Find the keys through the issuer's /.well-known/openid-configuration"),
    ] = False
    jwks_url: Annotated[_Text | None, Meta(description="Where the issuer publishes its keys")] = (
        None
    )
    jwks_file: Annotated[_Text | None, Meta(description="A file with a key set")] = None
    public_key: Annotated[
        Secret | None, Meta(description="One key: PEM, or a JWK as JSON; `{file = ...}` works")
    ] = None
    secret: Annotated[
        Secret | None,
        Meta(description="The shared secret of HS256, HS384, HS512; at least 32 bytes"),
    ] = None
    allow_http: Annotated[
        bool, Meta(description="Take keys from URLs without TLS; loopback needs no such leave")
    ] = False
    use_proxy: Annotated[
        bool, Meta(description="Fetch keys through the proxy that the environment names")
    ] = False
    refresh_s: Annotated[
        float, Meta(ge=10, le=86_400, description="Time after which the key set is read again")
    ] = 600.0
    cooldown_s: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Least time between two reads, however many tokens name unknown keys",
        ),
    ] = 10.0
    fetch_timeout_s: Annotated[
        float, Meta(gt=0, le=60, description="Time for one read of the key set")
    ] = 5.0
    cache_size: Annotated[
        int, Meta(ge=0, le=1_000_000, description="Verified tokens remembered until they expire")
    ] = 4096

    subject_claim: Annotated[_Text, Meta(description="Who it is; dots lead into objects")] = "sub"
    tenants_claim: Annotated[
        _Text | None, Meta(description="Its tenants: a list or one; `*` stands for all")
    ] = "tenants"
    default_tenants: Annotated[
        tuple[_Text, ...], Meta(description="The tenants of tokens without that claim")
    ] = ()
    scopes_claim: Annotated[
        _Text | None, Meta(description="Its scopes: a list, or words with spaces between them")
    ] = "scope"
    default_scopes: Annotated[
        tuple[_Text, ...], Meta(description="The scopes of tokens without that claim")
    ] = ()
    scope_map: Annotated[
        dict[str, tuple[_Text, ...]],
        Meta(
            description="The issuer's words for our scopes, such as"
            ' `reader = ["objects:read"]`; words that are in neither language are ignored'
        ),
    ] = {}
    namespaces_claim: Annotated[
        _Text | None,
        Meta(
            description="The namespaces or prefixes (`team-*`) that it is confined to; a token"
            " without this claim has none then. Unset: tokens are not confined"
        ),
    ] = None
