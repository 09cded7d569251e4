"""Keys, and tokens of every kind, good and bad. Bad ones are put together by hand, bit by bit."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any, Final

from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry, serialize_compact

__all__ = [
    "AUDIENCE",
    "EC",
    "ED",
    "HS",
    "ISSUER",
    "NOW_S",
    "OTHER",
    "RSA",
    "claims",
    "jwks",
    "sign",
]

ISSUER: Final = "https://idp.example"
AUDIENCE: Final = "juststorage"
NOW_S: Final = 1_767_225_600
"""Where the fake clock starts: 2026-01-01."""

RSA: Final = RSAKey.generate_key(2048, {"kid": "rsa"})
OTHER: Final = RSAKey.generate_key(2048, {"kid": "rsa"})
EC: Final = ECKey.generate_key("P-256", {"kid": "ec"})
EC384: Final = ECKey.generate_key("P-384", {"kid": "ec384"})
ED: Final = OKPKey.generate_key("Ed25519", {"kid": "ed"})
HS: Final = "a shared secret of more than 32 bytes"


class _Registry(JWSRegistry):
    """Signs with any algorithm, also those that warn."""

    def get_alg(self, name: str) -> Any:
        return self.algorithms[name]


_REGISTRY: Final = _Registry(strict_check_header=False)
_REGISTRY.max_header_length = 100_000


def claims(**changed: Any) -> dict[str, Any]:
    """Good claims, some of them changed; `...` leaves one out."""
    good: dict[str, Any] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "exp": NOW_S + 600,
        "nbf": NOW_S - 10,
        "iat": NOW_S - 10,
        "tenants": ["t1"],
        "scope": "objects:read",
    }
    return {name: value for name, value in (good | changed).items() if value is not ...}


def sign(
    payload: Any = None, *, key: Any = RSA, alg: str = "RS256", raw: bytes = b"", **header: Any
) -> str:
    """A token with a good signature, whatever it says."""
    named = {"alg": alg, "typ": "JWT", "kid": "rsa"} | header
    named = {name: value for name, value in named.items() if value is not ...}
    body = raw or json.dumps(claims() if payload is None else payload).encode()
    return serialize_compact(named, body, key, registry=_REGISTRY)


def jwks(*keys: Any, **more: Any) -> dict[str, Any]:
    """A key set of public keys."""
    return {"keys": [key.as_dict(private=False) | more for key in keys]}


def b64(data: bytes | dict[str, Any]) -> str:
    """Base64url without padding."""
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def by_hand(header: bytes | dict[str, Any], payload: bytes | dict[str, Any], secret: bytes) -> str:
    """A token signed by HMAC-SHA-256 with any bytes: a public key, say."""
    signed = f"{b64(header)}.{b64(payload)}"
    return f"{signed}.{b64(hmac.new(secret, signed.encode(), hashlib.sha256).digest())}"


def signed_raw(header: bytes, payload: bytes, key: RSAKey = RSA) -> str:
    """A token with a good RS256 signature over parts that no library would write."""
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
    from cryptography.hazmat.primitives.hashes import SHA256

    signed = f"{b64(header)}.{b64(payload)}"
    signature = key.private_key.sign(signed.encode(), PKCS1v15(), SHA256())
    return f"{signed}.{b64(signature)}"


def secret_key() -> OctKey:
    """The shared secret as a key."""
    return OctKey.import_key(HS)


def short_pem() -> str:
    """A public key of 1024 bits."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    public = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
