"""Tokens, good and bad: of all of these only the good ones pass.

Longer than most: most of it is the table.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from joserfc.jwk import ECKey

from juststorage.domain import NamespacePattern, Scope
from juststorage.errors import Unauthenticated
from juststorage.ports import Authenticator, Credentials
from juststorage.testing import FakeClock, open_backend
from juststorage_api._auth import JWT, JwtOptions

pytest_plugins = ["juststorage.testing.fixtures"]


def _tokens() -> Any:
    name = "juststorage_api_test_tokens"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("tokens.py"))
        assert spec is not None and spec.loader is not None
        module = sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[name]


t = _tokens()
NOW_S, LEEWAY_S = t.NOW_S, 30
claims, sign, b64 = t.claims, t.sign, t.b64
PUBLIC_PEM = t.RSA.as_pem(private=False)
PUBLIC_DER = t.RSA.as_der(private=False)
GOOD_HEADER = b'{"alg":"RS256","typ":"JWT","kid":"rsa"}'
GOOD_CLAIMS = json.dumps(claims()).encode()


def unsigned(alg: str, signature: str = "") -> str:
    """A token that claims to need no signature."""
    return f"{b64({'alg': alg, 'typ': 'JWT', 'kid': 'rsa'})}.{b64(claims())}.{signature}"


def altered(part: int, token: str | None = None) -> str:
    """A good token with one character of one part changed."""
    parts = (token or sign()).split(".")
    middle = len(parts[part]) // 2
    changed = "A" if parts[part][middle] != "A" else "B"
    parts[part] = parts[part][:middle] + changed + parts[part][middle + 1 :]
    return ".".join(parts)


def bad_tokens() -> Iterator[tuple[str, str]]:  # noqa: PLR0912, PLR0915  a table
    """What must not pass."""
    good = sign()
    head, body, signature = good.split(".")
    # No signature, or none that counts
    for alg in ("none", "None", "NONE", "nOnE", ""):
        yield f"alg {alg or 'empty'}", unsigned(alg)
        yield f"alg {alg or 'empty'} with a signature", unsigned(alg, signature)
    yield "no alg", t.signed_raw(b'{"typ":"JWT","kid":"rsa"}', GOOD_CLAIMS)
    yield "alg is a number", t.signed_raw(b'{"alg":1,"kid":"rsa"}', GOOD_CLAIMS)
    yield "alg is a list", t.signed_raw(b'{"alg":["RS256"],"kid":"rsa"}', GOOD_CLAIMS)
    yield "alg is null", t.signed_raw(b'{"alg":null,"kid":"rsa"}', GOOD_CLAIMS)
    yield "signature left out", f"{head}.{body}."
    yield "two parts", f"{head}.{body}"
    yield "signature of another token", f"{head}.{b64(claims(sub='mallory'))}.{signature}"
    for part, name in enumerate(("header", "payload", "signature")):
        yield f"{name} altered", altered(part)
    yield "signature cut", good[:-2]
    # Algorithms that are not ours, or not of the key
    for secret, name in ((PUBLIC_PEM, "PEM"), (PUBLIC_DER, "DER"), (b"", "nothing")):
        forged = t.by_hand({"alg": "HS256", "typ": "JWT", "kid": "rsa"}, claims(), secret)
        yield f"HS256 with the public key as {name}", forged
        forged = t.by_hand({"alg": "RS256", "typ": "JWT", "kid": "rsa"}, claims(), secret)
        yield f"HMAC with the public key as {name}, called RS256", forged
    for alg in ("RS384", "RS512", "PS256", "PS384", "PS512"):
        yield f"{alg} where RS256 is configured", sign(alg=alg)
    yield "RS1", t.signed_raw(b'{"alg":"RS1","kid":"rsa"}', GOOD_CLAIMS)
    yield "rs256 in lower case", t.signed_raw(b'{"alg":"rs256","kid":"rsa"}', GOOD_CLAIMS)
    yield "ES256 with its own key", sign(key=t.EC, alg="ES256", kid="ec")
    yield "EdDSA with its own key", sign(key=t.ED, alg="EdDSA", kid="ed")
    yield "RS256 that names the EC key", sign(kid="ec")
    yield "RS256 that names the key for encryption", sign(key=t.OTHER, kid="enc")
    # Other keys
    yield "another key of the same name", sign(key=t.OTHER)
    yield "an unknown kid", sign(kid="unknown")
    for kid in ("", "../../dev/null", "rsa\x00", "RSA", "' OR 1=1 --", "x" * 300, 7, None, ["rsa"]):
        yield (
            f"kid {kid!r:.20}",
            sign(kid=kid)
            if isinstance(kid, str)
            else t.signed_raw(json.dumps({"alg": "RS256", "kid": kid}).encode(), GOOD_CLAIMS),
        )
    # Headers that bring a key, or change the meaning
    own = t.OTHER.as_dict(private=False)
    yield "jwk", sign(key=t.OTHER, jwk=own)
    yield "jwk beside a good signature", sign(jwk=own)
    for name in ("jku", "x5u"):
        yield name, sign(key=t.OTHER, **{name: "https://evil.example/keys"})
        yield f"{name} beside a good signature", sign(**{name: "https://evil.example/keys"})
    yield "x5c", t.signed_raw(b'{"alg":"RS256","kid":"rsa","x5c":["MII="]}', GOOD_CLAIMS)
    for crit in ('["exp"]', '["b64"]', '["unknown"]', "[]", '"x"', "null"):
        header = f'{{"alg":"RS256","kid":"rsa","exp":1,"unknown":1,"crit":{crit}}}'
        yield f"crit {crit}", t.signed_raw(header.encode(), GOOD_CLAIMS)
    yield "b64 false", t.signed_raw(b'{"alg":"RS256","kid":"rsa","b64":false}', GOOD_CLAIMS)
    yield "zip", t.signed_raw(b'{"alg":"RS256","kid":"rsa","zip":"DEF"}', GOOD_CLAIMS)
    yield "encrypted, five parts", ".".join([head, "", body, body, signature])
    yield "nested", sign(raw=good.encode(), cty="JWT")
    # typ
    for typ in ("JWE", "id_token", "logout+jwt", "dpop+jwt", "JWT ", "", "application/"):
        yield f"typ {typ!r}", sign(typ=typ)
    yield "typ is a number", t.signed_raw(b'{"alg":"RS256","kid":"rsa","typ":1}', GOOD_CLAIMS)
    # iss and aud
    for iss in (..., "", None, 1, ["https://idp.example"], "https://IDP.example"):
        yield f"iss {iss!r}", sign(claims(iss=iss))
    for iss in ("https://idp.example/", "https://idp.example.evil.example", "http://idp.example"):
        yield f"iss {iss}", sign(claims(iss=iss))
    for aud in (..., "", None, 1, [], ["other"], ["other", 1], {"a": t.AUDIENCE}, "JustStorage"):
        yield f"aud {aud!r}", sign(claims(aud=aud))
    yield "aud with a tail", sign(claims(aud=f"{t.AUDIENCE} other"))
    # Times
    yield "no exp", sign(claims(exp=...))
    yield "exp at the edge", sign(claims(exp=NOW_S - LEEWAY_S))
    yield "exp long ago", sign(claims(exp=0))
    yield "exp negative", sign(claims(exp=-1))
    yield "exp as text", sign(claims(exp=str(NOW_S + 600)))
    yield "exp true", sign(claims(exp=True))
    yield "exp null", sign(claims(exp=None))
    yield "exp a list", sign(claims(exp=[NOW_S + 600]))
    for value in ("NaN", "Infinity", "1e999", "9" * 5000):
        raw = json.dumps(claims(exp=0)).replace('"exp": 0', f'"exp": {value}')
        yield f"exp {value:.10}", sign(raw=raw.encode())
    yield "nbf to come", sign(claims(nbf=NOW_S + LEEWAY_S + 1))
    yield "nbf as text", sign(claims(nbf="now"))
    yield "nbf null", sign(claims(nbf=None))
    yield "iat to come", sign(claims(iat=NOW_S + LEEWAY_S + 1))
    # The same member twice
    twice = GOOD_CLAIMS[:-1] + b',"sub":"mallory"}'
    yield "a claim twice", t.signed_raw(GOOD_HEADER, twice)
    again = GOOD_CLAIMS[:-1] + b',"exp":9999999999}'
    yield "exp twice", t.signed_raw(GOOD_HEADER, again)
    nested = GOOD_CLAIMS[:-1] + b',"x":{"a":1,"a":2}}'
    yield "a nested member twice", t.signed_raw(GOOD_HEADER, nested)
    yield "alg twice", t.signed_raw(b'{"alg":"none","alg":"RS256","kid":"rsa"}', GOOD_CLAIMS)
    # What is no claims set
    for raw in (b"[]", b"null", b'"x"', b"1", b"{", b"{}", b"\xff", b"\xef\xbb\xbf{}", b"{'a':1}"):
        yield f"payload {raw!r}", t.signed_raw(GOOD_HEADER, raw)
    yield "payload nested deeply", t.signed_raw(GOOD_HEADER, b'{"a":' + b"[" * 2000)
    yield "UTF-16", t.signed_raw(GOOD_HEADER, json.dumps(claims()).encode("utf-16"))
    for raw in (b"[]", b"null", b"", b"\xff"):
        yield f"header {raw!r}", f"{b64(raw)}.{body}.{signature}"
    # Claims that make no sense here
    for sub in (..., "", None, 1, "a\nb", "a\x00b", "x" * 257, ["alice"], "\ud800"):
        yield f"sub {sub!r:.20}", sign(claims(sub=sub))
    for tenants in (["a/b"], [""], [1], {"a": 1}, 7, ["ok", "*x"], [f"t{n}" for n in range(257)]):
        yield f"tenants {tenants!r:.20}", sign(claims(tenants=tenants))
    for scope in (7, {"a": 1}, ["objects:read", 1]):
        yield f"scope {scope!r}", sign(claims(scope=scope))
    # Forms that are not the one form
    yield "padding", f"{head}.{body}.{signature}=="
    yield "standard base64", good.replace("-", "+").replace("_", "/") + "+/"
    yield "a space inside", f"{head} .{body}.{signature}"
    yield "a new line inside", f"{head}.\n{body}.{signature}"
    yield "a token twice", f"{good}.{good}"
    yield "two tokens", f"{good},{good}"
    yield (
        "JSON serialization",
        json.dumps({"protected": head, "payload": body, "signature": signature}),
    )
    yield "dots", ".."
    yield "nothing", ""
    yield "not ASCII", good + "é"
    yield "huge", sign(claims(pad="x" * 10_000))
    yield "a huge header", sign(pad="x" * 3000)
    yield "10 MB", "A" * 10_000_000


def good_tokens() -> Iterator[tuple[str, str]]:
    """What must pass, each for one lenience that is meant."""
    yield "plain", sign()
    yield "typ left out", sign(typ=...)
    for typ in ("jwt", "at+jwt", "AT+JWT", "application/at+jwt", "application/jwt"):
        yield f"typ {typ}", sign(typ=typ)
    yield "audience in a list", sign(claims(aud=["other", t.AUDIENCE]))
    yield "exp within the leeway", sign(claims(exp=NOW_S - LEEWAY_S + 1))
    yield "exp with a fraction", sign(claims(exp=NOW_S + 0.5))
    yield "nbf within the leeway", sign(claims(nbf=NOW_S + LEEWAY_S))
    yield "no nbf, no iat", sign(claims(nbf=..., iat=...))
    yield "claims that nobody asks for", sign(claims(email="a@example", groups=["x"], jti="1"))
    yield "headers that nobody asks for", sign(x5t="abc", nonce="n")
    yield "another audience of ours", sign(claims(aud="second"))


BAD, GOOD = list(bad_tokens()), list(good_tokens())


@pytest.fixture
async def authenticator(fake_clock: FakeClock, tmp_path: Path) -> AsyncIterator[Authenticator]:
    """For RS256, with a set of keys of other kinds beside the one that counts."""
    file = tmp_path / "keys.json"
    document = t.jwks(t.RSA, t.EC, t.ED)
    document["keys"] += [
        t.OTHER.as_dict(private=False) | {"kid": "enc", "use": "enc"},
        {"kty": "oct", "kid": "oct", "k": b64(b"k" * 32)},
        {"kty": "RSA", "kid": "broken", "n": "!", "e": "AQAB"},
        {"kty": "future", "kid": "future"},
        "nonsense",
    ]
    file.write_text(json.dumps(document))
    options = JwtOptions(issuer=t.ISSUER, audience=(t.AUDIENCE, "second"), jwks_file=str(file))
    async with open_backend(JWT, options, clock=fake_clock) as opened:
        yield opened


def test_the_matrix_is_large() -> None:
    """At least 60 bad tokens, all different."""
    assert len({text for _, text in BAD}) >= 60
    assert len({name for name, _ in BAD}) == len(BAD)


@pytest.mark.parametrize(("name", "text"), BAD, ids=[name for name, _ in BAD])
async def test_a_bad_token(authenticator: Authenticator, name: str, text: str) -> None:
    """Refused, twice, in the same words, which say nothing about the reason."""
    for _ in range(2):
        with pytest.raises(Unauthenticated) as caught:
            await authenticator.authenticate(Credentials(scheme="bearer", token=text))
        assert caught.value.detail == "the token is not valid", name
        assert caught.value.fields == {}
        assert caught.value.__cause__ is None


@pytest.mark.parametrize(("name", "text"), GOOD, ids=[name for name, _ in GOOD])
async def test_a_good_token(authenticator: Authenticator, name: str, text: str) -> None:
    """Accepted, the second time from memory."""
    for _ in range(2):
        found = await authenticator.authenticate(Credentials(scheme="bearer", token=text))
        assert found is not None, name
        assert found.subject == "jwt:alice"
        assert found.tenants == {"t1"}
        assert found.scopes == {Scope.OBJECTS_READ}
        assert found.namespaces is None


@pytest.mark.parametrize(
    ("key", "alg"),
    [
        (t.RSA, "RS512"),
        (t.RSA, "PS256"),
        (t.EC, "ES256"),
        (t.EC384, "ES384"),
        (t.ED, "EdDSA"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_each_algorithm_has_its_key(fake_clock: FakeClock, key: Any, alg: str) -> None:
    """The configured one works with its kind of key; tokens of all other kinds do not pass."""
    from juststorage.plugins import Secret

    options = JwtOptions(
        issuer=t.ISSUER,
        audience=(t.AUDIENCE,),
        algorithms=(alg,),  # type: ignore[arg-type]
        public_key=Secret(json.dumps(key.as_dict(private=False))),
    )
    others = [(t.RSA, "RS256"), (t.RSA, "PS512"), (t.EC, "ES256"), (t.ED, "EdDSA")]
    async with open_backend(JWT, options, clock=fake_clock) as opened:
        text = sign(key=key, alg=alg, kid=key.kid)
        assert await opened.authenticate(Credentials(scheme="bearer", token=text))
        for other, name in others:
            if name != alg:
                wrong = sign(key=other, alg=name, kid=other.kid)
                with pytest.raises(Unauthenticated):
                    await opened.authenticate(Credentials(scheme="bearer", token=wrong))


async def test_a_curve_is_part_of_the_algorithm(fake_clock: FakeClock) -> None:
    """ES256 is not for a key on P-384, whatever the token says."""
    from juststorage.errors import Misconfigured
    from juststorage.plugins import Secret

    options = JwtOptions(
        issuer=t.ISSUER,
        audience=(t.AUDIENCE,),
        algorithms=("ES256",),
        public_key=Secret(json.dumps(t.EC384.as_dict(private=False))),
    )
    with pytest.raises(Misconfigured, match=r"public_key"):
        async with open_backend(JWT, options, clock=fake_clock):
            raise AssertionError("it opened")


def weak_and_private() -> Iterator[tuple[str, str]]:
    """Keys that no service should verify by."""
    yield "1024 bits", t.short_pem()
    yield "private", json.dumps(t.RSA.as_dict(private=True))
    yield "for encryption", json.dumps(t.RSA.as_dict(private=False) | {"use": "enc"})
    yield "for another algorithm", json.dumps(t.RSA.as_dict(private=False) | {"alg": "PS256"})
    yield "of another kind", ECKey.generate_key("P-256").as_pem(private=False).decode()
    yield "a secret", json.dumps({"kty": "oct", "k": b64(b"k" * 32)})
    yield "no key", "-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----"
    yield "no JSON", "{"


@pytest.mark.parametrize(
    "text", [text for _, text in weak_and_private()], ids=[name for name, _ in weak_and_private()]
)
async def test_a_key_that_is_of_no_use(fake_clock: FakeClock, text: str) -> None:
    """The service does not start with it."""
    from juststorage.errors import Misconfigured
    from juststorage.plugins import Secret

    options = JwtOptions(issuer=t.ISSUER, audience=(t.AUDIENCE,), public_key=Secret(text))
    with pytest.raises(Misconfigured, match=r"public_key"):
        async with open_backend(JWT, options, clock=fake_clock):
            raise AssertionError("it opened")


async def test_a_shared_secret(fake_clock: FakeClock) -> None:
    """HS256 works with a secret, and with nothing else."""
    from juststorage.plugins import Secret

    options = JwtOptions(
        issuer=t.ISSUER, audience=(t.AUDIENCE,), algorithms=("HS256",), secret=Secret(t.HS)
    )
    async with open_backend(JWT, options, clock=fake_clock) as opened:
        text = sign(key=t.secret_key(), alg="HS256", kid=...)
        assert await opened.authenticate(Credentials(scheme="bearer", token=text))
        for wrong in (
            sign(),
            unsigned("none"),
            t.by_hand({"alg": "HS256"}, claims(), b"another secret"),
            sign(key=t.secret_key(), alg="HS512", kid=...),
        ):
            with pytest.raises(Unauthenticated):
                await opened.authenticate(Credentials(scheme="bearer", token=wrong))


async def mapped(fake_clock: FakeClock, given: dict[str, Any], **options: Any) -> Any:
    """The principal of a token with these claims."""
    from juststorage.plugins import Secret

    configured = JwtOptions(
        issuer=t.ISSUER, audience=(t.AUDIENCE,), public_key=Secret(PUBLIC_PEM.decode()), **options
    )
    async with open_backend(JWT, configured, clock=fake_clock) as opened:
        text = sign(claims(**given))
        return await opened.authenticate(Credentials(scheme="bearer", token=text))


async def test_claims_by_path(fake_clock: FakeClock) -> None:
    """Dots lead into objects; a claim whose name has dots comes first."""
    found = await mapped(
        fake_clock,
        {"realm": {"roles": ["reader", "x"]}, "a.b": "t7", "a": {"b": "t8"}, "u": {"n": "bob"}},
        scopes_claim="realm.roles",
        tenants_claim="a.b",
        subject_claim="u.n",
        scope_map={"reader": ("objects:read", "objects:write")},
    )
    assert (found.subject, found.tenants) == ("jwt:bob", {"t7"})
    assert found.scopes == {Scope.OBJECTS_READ, Scope.OBJECTS_WRITE}


async def test_words_that_mean_nothing_here(fake_clock: FakeClock) -> None:
    """Scopes of others are ignored, a mapped word no longer means itself."""
    found = await mapped(
        fake_clock,
        {"scope": "openid email admin objects:read"},
        scope_map={"admin": ("objects:delete",)},
    )
    assert found.scopes == {Scope.OBJECTS_READ, Scope.OBJECTS_DELETE}


async def test_claims_that_are_missing(fake_clock: FakeClock) -> None:
    """Then the defaults hold, which are nothing unless configured; namespaces fail closed."""
    nothing = await mapped(fake_clock, {"tenants": ..., "scope": ...}, namespaces_claim="ns")
    assert (nothing.tenants, nothing.scopes, nothing.namespaces) == (set(), set(), set())
    default = await mapped(
        fake_clock,
        {"tenants": ..., "scope": ..., "ns": ["team-*"]},
        default_tenants=("t9",),
        default_scopes=("objects:read",),
        namespaces_claim="ns",
    )
    assert (default.tenants, default.scopes) == ({"t9"}, {Scope.OBJECTS_READ})
    assert default.namespaces == {NamespacePattern("team-*")}


async def test_all_tenants(fake_clock: FakeClock) -> None:
    """`*` is what an issuer says for all of them."""
    assert (await mapped(fake_clock, {"tenants": "*"})).tenants is None


async def test_a_remembered_token_expires(
    authenticator: Authenticator, fake_clock: FakeClock
) -> None:
    """To the second, leeway included, although it was verified before."""
    credentials = Credentials(scheme="bearer", token=sign(claims(exp=NOW_S + 10)))
    assert await authenticator.authenticate(credentials)
    await fake_clock.advance(10 + LEEWAY_S - 1)
    assert await authenticator.authenticate(credentials)
    await fake_clock.advance(1)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(credentials)
