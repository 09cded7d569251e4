"""What it costs to know who is calling, and whether they may.

    .venv/bin/python -m benchmarks.authentication [--rounds N]

Processor time for each call, from the header fields of a request to its principal, through the
chain and the guard of core as the service has them; warm caches unless it says cold. The limit is
what no authentication can do without: one SHA-256 of the credential. The goal is 40 us for a warm
one.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

from joserfc import jwt
from joserfc.jwk import RSAKey

from juststorage.domain import ApiKeySecret, Principal, TenantId
from juststorage.plugins import NoOptions, Secret
from juststorage.plugins.memory import MEMORY_METADATA
from juststorage.ports import Authenticator
from juststorage.testing import make_api_key, open_backend
from juststorage_api._access import Call, held_namespace, tenant_for
from juststorage_api._auth import API_KEY, JWT, ApiKeyOptions, JwtOptions
from juststorage_api._authentication import Authentication

COLD = 2_000
ISSUER, AUDIENCE = "https://idp.example", "juststorage"


def request(name: bytes, value: str) -> tuple[dict[str, Any], dict[bytes, bytes]]:
    """A request's scope and fields, with as many headers as clients send."""
    headers = [
        (b"host", b"storage.example"),
        (b"user-agent", b"benchmark/1"),
        (b"accept", b"*/*"),
        (b"accept-encoding", b"gzip, br"),
        (b"content-type", b"application/octet-stream"),
        (name, value.encode()),
    ]
    return {"headers": headers, "client": ("127.0.0.1", 1)}, dict(headers)


async def per_call_us(ask: Callable[[], Awaitable[Any]], rounds: int) -> float:
    """Processor time of one call, the best of five runs."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time_ns()
        for _ in range(rounds):
            await ask()
        best = min(best, (time.process_time_ns() - began) / rounds / 1000)
    return best


def sha256_us(text: str, rounds: int) -> float:
    """The limit."""
    raw = text.encode()
    began = time.process_time_ns()
    for _ in range(rounds):
        hashlib.sha256(raw).digest()
    return (time.process_time_ns() - began) / rounds / 1000


def decision(principal: Principal, rounds: int) -> tuple[float, int]:
    """One decision about access: its time, and the bytes that a thousand of them leave."""
    tenant = TenantId("t1")
    namespaces = ["models"] * 2
    began = time.process_time_ns()
    for _ in range(rounds):
        tenant_for(principal, Call.DOWNLOAD, tenant)
    spent_us = (time.process_time_ns() - began) / rounds / 1000
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(1000):
        tenant_for(principal, Call.DOWNLOAD, tenant)
        held_namespace(principal, namespaces[0])
    kept = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    return spent_us, kept


async def measure(rounds: int) -> None:
    """Open both authenticators over the memory store, and print the table."""
    signer = RSAKey.generate_key(2048, {"kid": "k"})
    claims = {"iss": ISSUER, "aud": AUDIENCE, "tenants": ["t1"], "scope": "objects:read"}
    expires = int(time.time()) + 3600

    def token(number: int) -> str:
        payload = claims | {"sub": f"user-{number}", "exp": expires}
        return jwt.encode({"alg": "RS256", "kid": "k"}, payload, signer)

    async with AsyncExitStack() as stack:
        metadata = await stack.enter_async_context(open_backend(MEMORY_METADATA, NoOptions()))
        secret = ApiKeySecret.new()
        row = await metadata.api_keys.create(make_api_key(tenants=["t1"], secret=secret))
        chain: list[Authenticator] = [
            await stack.enter_async_context(
                open_backend(API_KEY, ApiKeyOptions(), metadata=metadata)
            ),
            await stack.enter_async_context(
                open_backend(
                    JWT,
                    JwtOptions(
                        issuer=ISSUER,
                        audience=(AUDIENCE,),
                        public_key=Secret(signer.as_pem(private=False).decode()),
                    ),
                )
            ),
        ]
        authentication = Authentication(chain, ["api_key", "jwt"])
        text = token(0)
        key = request(b"x-api-key", secret.text)
        bearer = request(b"authorization", f"Bearer {text}")
        rows = [
            ("API key, warm", lambda: authentication.principal(*key), rounds, secret.text),
            ("token, warm", lambda: authentication.principal(*bearer), rounds, text),
        ]
        cold = iter([request(b"authorization", f"Bearer {token(n)}") for n in range(5 * COLD)])
        rows.append(("token, cold", lambda: authentication.principal(*next(cold)), COLD, text))
        print(f"{'':16}{'us':>8}{'SHA-256':>10}")
        for name, ask, count, credential in rows:
            await ask() if "warm" in name else None
            spent = await per_call_us(ask, count)
            print(f"{name:16}{spent:8.1f}{sha256_us(credential, rounds):10.1f}")
        spent, kept = decision(row.principal, rounds)
        print(f"{'decision':16}{spent:8.2f}{'':10}  {kept} bytes kept after 1000")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20_000)
    asyncio.run(measure(parser.parse_args().rounds))
