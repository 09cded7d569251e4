"""Where keys come from: a real HTTP server that is down, slow, huge, wrong, or has new keys."""

from __future__ import annotations

import importlib.util
import json
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from time import perf_counter
from typing import Any

import anyio
import pytest

from juststorage.errors import Misconfigured, Unauthenticated, Unavailable
from juststorage.plugins import Secret
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
NEW = t.RSA.generate_key(2048, {"kid": "new"})
COOLDOWN_S, REFRESH_S = 10.0, 600.0


class Issuer:
    """An HTTP server that answers as it is told, and counts."""

    def __init__(self) -> None:
        self.keys: Any = t.jwks(t.RSA)
        self.status = 200
        self.raw: bytes | None = None
        self.discovery: dict[str, Any] = {}
        self.paths: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                issuer.paths.append(self.path)
                issuer.gate.wait(20)
                body = issuer.raw
                if body is None:
                    is_keys = self.path == "/keys"
                    body = json.dumps(issuer.keys if is_keys else issuer.discovery).encode()
                self.send_response(issuer.status)
                if issuer.status == 302:
                    self.send_header("location", "/keys")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with suppress(OSError):  # the reader may have had enough
                    self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """End it; from then on nobody listens."""
        self.gate.set()
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    """A running one."""
    made = Issuer()
    yield made
    made.close()


def options(source: Issuer | None = None, **changed: Any) -> JwtOptions:
    """Options for the issuer's key set."""
    values: dict[str, Any] = {
        "issuer": t.ISSUER,
        "audience": (t.AUDIENCE,),
        "cooldown_s": COOLDOWN_S,
        "refresh_s": REFRESH_S,
    }
    if source is not None:
        values["jwks_url"] = f"{source.url}/keys"
    return JwtOptions(**(values | changed))


class Service:
    """The authenticator, and what a test does with it."""

    def __init__(self, authenticator: Authenticator) -> None:
        self._authenticator = authenticator

    async def accepts(self, text: str) -> bool:
        """Whether a token is accepted."""
        try:
            return (
                await self._authenticator.authenticate(Credentials(scheme="bearer", token=text))
                is not None
            )
        except Unauthenticated:
            return False


@asynccontextmanager
async def opened(clock: FakeClock, configured: JwtOptions) -> AsyncIterator[Service]:
    """An authenticator that has read its keys, or tried to, and sleeps until the next time."""
    async with open_backend(JWT, configured, clock=clock) as authenticator:
        with anyio.fail_after(20):
            while not clock.sleepers:
                await anyio.lowlevel.checkpoint()
        yield Service(authenticator)


async def settled(clock: FakeClock, seconds: float) -> None:
    """Let the time pass, and what is due then be done."""
    await clock.advance(seconds)
    with anyio.fail_after(20):
        while not clock.sleepers:
            await anyio.lowlevel.checkpoint()


BROKEN: dict[str, dict[str, Any]] = {
    "500": {"status": 500},
    "404": {"status": 404},
    "a redirect": {"status": 302},
    "no JSON": {"raw": b"<html>"},
    "nothing": {"raw": b""},
    "not UTF-8": {"raw": b"\xff\xfe"},
    "no key set": {"keys": {"key": []}},
    "a list": {"keys": []},
    "no keys": {"keys": {"keys": []}},
    "keys of no use": {"keys": t.jwks(t.EC, t.ED)},
    "keys for encryption": {"keys": t.jwks(t.RSA, use="enc")},
    "a secret": {"keys": {"keys": [{"kty": "oct", "kid": "rsa", "k": "a" * 43}]}},
    "a list for a type": {"keys": {"keys": [{"kty": ["RSA"]}]}},
    "a number for operations": {"keys": t.jwks(t.RSA, key_ops=5)},
    "too many keys": {"keys": {"keys": t.jwks(t.RSA)["keys"] * 101}},
    "10 MB": {"raw": b" " * 10_000_000},
    "deep": {"raw": b"[" * 200_000},
}


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_broken_key_set_at_the_start(
    fake_clock: FakeClock, issuer: Issuer, broken: dict[str, Any]
) -> None:
    """The service starts; tokens get 503 with a time to come back, and work once there are keys."""
    good = (issuer.status, issuer.raw, issuer.keys)
    for name, value in broken.items():
        setattr(issuer, name, value)
    async with opened(fake_clock, options(issuer)) as service:
        with pytest.raises(Unavailable) as caught:
            await service.accepts(t.sign())
        assert 1 <= caught.value.fields["retry_after_s"] <= COOLDOWN_S
        assert issuer.url not in caught.value.detail
        assert len(issuer.paths) == 1
        issuer.status, issuer.raw, issuer.keys = good
        await settled(fake_clock, COOLDOWN_S)
        assert await service.accepts(t.sign())


@pytest.mark.parametrize("broken", BROKEN.values(), ids=BROKEN)
async def test_a_broken_key_set_later(
    fake_clock: FakeClock, issuer: Issuer, broken: dict[str, Any]
) -> None:
    """The keys that were read stay, for tokens old and new."""
    async with opened(fake_clock, options(issuer)) as service:
        assert await service.accepts(t.sign())
        for name, value in broken.items():
            setattr(issuer, name, value)
        await settled(fake_clock, REFRESH_S - 100)
        await settled(fake_clock, 100)
        assert len(issuer.paths) == 2
        assert await service.accepts(t.sign(t.claims(exp=t.NOW_S + 9999, jti="another")))


async def test_an_endpoint_that_is_gone(fake_clock: FakeClock, issuer: Issuer) -> None:
    """Nobody listens any more: the keys stay, unknown ones are refused at once."""
    async with opened(fake_clock, options(issuer)) as service:
        issuer.close()
        await settled(fake_clock, REFRESH_S)
        text = t.sign(t.claims(exp=t.NOW_S + 9999))
        assert await service.accepts(text)
        assert not await service.accepts(t.sign(t.claims(exp=t.NOW_S + 9999), kid="other"))


async def test_an_endpoint_that_is_slow(fake_clock: FakeClock, issuer: Issuer) -> None:
    """It costs one timeout; tokens with known keys do not wait for it."""
    async with opened(fake_clock, options(issuer, fetch_timeout_s=0.3)) as service:
        issuer.gate.clear()
        await fake_clock.advance(COOLDOWN_S)
        async with anyio.create_task_group() as tasks:
            answers: list[bool] = []

            async def ask() -> None:
                answers.append(await service.accepts(t.sign(kid="unknown")))

            tasks.start_soon(ask)
            with anyio.fail_after(20):
                while len(issuer.paths) < 2:
                    await anyio.lowlevel.checkpoint()
            assert await service.accepts(t.sign())
            assert answers == []
        assert answers == [False]


async def test_new_keys_are_found_at_once(fake_clock: FakeClock, issuer: Issuer) -> None:
    """A token that names an unknown key has the set read; what the old keys signed is forgotten."""
    async with opened(fake_clock, options(issuer)) as service:
        old = t.sign()
        assert await service.accepts(old)
        issuer.keys = t.jwks(NEW)
        await fake_clock.advance(COOLDOWN_S)
        assert await service.accepts(t.sign(key=NEW, kid="new"))
        assert not await service.accepts(old)
        assert len(issuer.paths) == 2


async def test_keys_side_by_side(fake_clock: FakeClock, issuer: Issuer) -> None:
    """While an issuer has both, both are good; and one whose content changed is the new one."""
    issuer.keys = t.jwks(t.RSA, NEW)
    async with opened(fake_clock, options(issuer)) as service:
        assert await service.accepts(t.sign())
        assert await service.accepts(t.sign(key=NEW, kid="new"))
        issuer.keys = t.jwks(t.OTHER)
        await settled(fake_clock, REFRESH_S)
        token = t.claims(exp=t.NOW_S + 9999)
        assert await service.accepts(t.sign(token, key=t.OTHER))
        assert not await service.accepts(t.sign(token))


async def test_a_flood_of_unknown_keys(fake_clock: FakeClock, issuer: Issuer) -> None:
    """10,000 tokens with made-up names: one read in a cool-down, and good tokens go on."""
    async with opened(fake_clock, options(issuer)) as service:
        head, body, signature = t.sign().split(".")
        await fake_clock.advance(COOLDOWN_S)
        longest_s = 0.0
        for number in range(10_000):
            header = t.b64({"alg": "RS256", "kid": f"made-up-{number}"})
            began = perf_counter()
            assert not await service.accepts(f"{header}.{body}.{signature}")
            if number:
                longest_s = max(longest_s, perf_counter() - began)
        assert len(issuer.paths) == 2
        assert longest_s < 1
        assert await service.accepts(f"{head}.{body}.{signature}")
        await fake_clock.advance(COOLDOWN_S - 0.1)
        assert not await service.accepts(t.sign(kid="x"))
        assert len(issuer.paths) == 2
        await fake_clock.advance(0.1)
        assert not await service.accepts(t.sign(kid="x"))
        assert len(issuer.paths) == 3


async def test_callers_at_once_share_one_read(fake_clock: FakeClock, issuer: Issuer) -> None:
    """Twenty tokens with an unknown key, one request."""
    async with opened(fake_clock, options(issuer)) as service:
        await fake_clock.advance(COOLDOWN_S)
        issuer.keys = t.jwks(t.RSA, NEW)
        answers: list[bool] = []

        async def ask(number: int) -> None:
            text = t.sign(t.claims(jti=number), key=NEW, kid="new")
            answers.append(await service.accepts(text))

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(ask, number)
        assert answers == [True] * 20
        assert len(issuer.paths) == 2


async def test_discovery(fake_clock: FakeClock, issuer: Issuer) -> None:
    """The issuer's document leads to its keys."""
    issuer.discovery = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"}
    configured = options(issuer=issuer.url, discovery=True)
    async with opened(fake_clock, configured) as service:
        assert await service.accepts(t.sign(t.claims(iss=issuer.url)))
        assert not await service.accepts(t.sign())
    assert issuer.paths == ["/.well-known/openid-configuration", "/keys"]


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://evil.example"},
        {"issuer": None},
        {"jwks_uri": None},
        {"jwks_uri": "http://evil.example/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user@evil.example/keys"},
        {"jwks_uri": "http://[::1"},
        {"jwks_uri": "https://keys.example:99999/"},
        {"jwks_uri": "https://keys.example/\x7f"},
    ],
)
async def test_a_discovery_document_that_leads_astray(
    fake_clock: FakeClock, issuer: Issuer, changed: dict[str, Any]
) -> None:
    """It must be the issuer's own, and lead to where nobody can put keys of theirs in between."""
    issuer.discovery = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/keys"} | changed
    async with opened(fake_clock, options(issuer=issuer.url, discovery=True)) as service:
        with pytest.raises(Unavailable):
            await service.accepts(t.sign(t.claims(iss=issuer.url)))
    assert issuer.paths == ["/.well-known/openid-configuration"]


async def test_a_file_with_new_keys(fake_clock: FakeClock, tmp_path: Path) -> None:
    """It is read again, like a URL; while it is broken or gone the old keys stay."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(t.jwks(t.RSA)))
    async with opened(fake_clock, options(jwks_file=str(file))) as service:
        assert await service.accepts(t.sign())
        for wrong in ("{", None):
            if wrong is None:
                file.unlink()
            else:
                file.write_text(wrong)
            await settled(fake_clock, COOLDOWN_S)
            assert not await service.accepts(t.sign(key=NEW, kid="new"))
            assert await service.accepts(t.sign())
        file.write_text(json.dumps(t.jwks(NEW)))
        await settled(fake_clock, COOLDOWN_S)
        assert await service.accepts(t.sign(key=NEW, kid="new"))
        assert not await service.accepts(t.sign())


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, "set one of"),
        ({"jwks_url": "https://a/", "jwks_file": "/a"}, "set one of"),
        ({"discovery": True, "secret": Secret("x" * 32)}, "set one of"),
        ({"jwks_url": "http://idp.example/keys"}, "https"),
        ({"jwks_url": "ftp://idp.example/keys"}, "https"),
        ({"jwks_url": "https://"}, "https"),
        ({"issuer": "http://idp.example", "discovery": True}, "https"),
        ({"jwks_url": "https://a/", "algorithms": ("HS256",)}, "HS256"),
        ({"jwks_url": "https://a/", "algorithms": ("RS256", "HS256")}, "HS256"),
        ({"secret": Secret("x" * 32), "algorithms": ("RS256",)}, "RS256"),
        ({"secret": Secret("short"), "algorithms": ("HS256",)}, "32 bytes"),
        ({"jwks_url": "https://a/", "default_scopes": ("everything",)}, "everything"),
        ({"jwks_url": "https://a/", "scope_map": {"a": ("b",)}}, "'b'"),
    ],
)
async def test_options_that_contradict_each_other(
    fake_clock: FakeClock, changed: dict[str, Any], said: str
) -> None:
    """The service does not start, and says why; a secret is not in it."""
    with pytest.raises(Misconfigured, match=said) as caught:
        async with open_backend(JWT, options(**changed), clock=fake_clock):
            raise AssertionError("it opened")
    assert "xxxx" not in caught.value.detail
