"""Credentials that bear a date, by the clock of a host, for `clocks`."""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import secrets
import time
from datetime import UTC, datetime, timedelta

from tests.torture.acts import JSON
from tests.torture.clock import HostClock
from tests.torture.journal import Broken
from tests.torture.members import Service

__all__ = ["SECRET", "check_credentials"]

SECRET = "a-secret-of-this-experiment-of-32-bytes"
"""`auth.jwt.secret`, for HS256."""


_VALID_S = 600
_TOKENS = {0: 200, 615: 200, 645: 401, 3600: 401, -615: 200, -645: 401, -3600: 401}
_KEYS = {0: 200, 585: 200, 615: 401, -3600: 200}
"""By the host's clock: what is asked with a token that was valid from ten minutes ago, and is for
ten minutes, give or take `auth.jwt.leeway_s`; with an API key that is for ten minutes."""


def check_credentials(service: Service, clock: HostClock) -> int:
    """Try a token and an API key at several times; how many.

    Raises:
        Broken: One is accepted, or refused, at the wrong time.
    """
    key = _issued(service)
    for offset_s, expected in _TOKENS.items():
        clock.set(offset_s)
        _expect(service, f"Bearer {_token()}", expected, f"a token at {offset_s:+d} s")
    for offset_s, expected in _KEYS.items():
        clock.set(offset_s)
        _expect(service, f"ApiKey {key}", expected, f"an API key at {offset_s:+d} s")
    clock.set(0)
    return len(_TOKENS) + len(_KEYS)


def _token() -> str:
    def part(of: bytes) -> str:
        return base64.urlsafe_b64encode(of).rstrip(b"=").decode()

    now_s = int(time.time())
    claims = {
        "iss": "i",
        "aud": "a",
        "sub": "somebody",
        "jti": secrets.token_hex(8),  # one that was accepted is remembered until it ends
        "tenants": "*",
        "scope": "objects:read",
        "nbf": now_s - _VALID_S,
        "exp": now_s + _VALID_S,
    }
    head = part(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    signed = f"{head}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(hmac.digest(SECRET.encode(), signed.encode(), 'sha256'))}"


def _issued(service: Service) -> str:
    wanted = {
        "name": "for ten minutes",
        "tenants": ["t"],
        "scopes": ["objects:read"],
        "expires_at": (datetime.now(UTC) + timedelta(seconds=_VALID_S)).isoformat(),
    }
    answer = service.call("POST", "/v1/api-keys", json.dumps(wanted).encode(), headers=JSON)
    if answer is None or answer[0] != 201:
        raise Broken(f"an API key is answered with {answer}")
    key: str = json.loads(answer[1])["key"]
    return key


def _expect(service: Service, credential: str, expected: int, what: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    try:
        connection.request("GET", "/v1/objects?tenant_id=t", headers={"Authorization": credential})
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != expected:
        raise Broken(f"{what} is answered {status}, not {expected}")
