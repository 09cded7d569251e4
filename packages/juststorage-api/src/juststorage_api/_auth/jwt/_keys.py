"""Keys: which of a set may verify a token. The token chooses among them, never beyond them."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Collection, Iterable
from typing import Any, Final

from joserfc.errors import JoseError, SecurityWarning, UnsupportedAlgorithmError
from joserfc.jwk import ECKey, JWKRegistry, OctKey, OKPKey, RSAKey, import_key
from joserfc.jws import JWSRegistry, deserialize_compact

from juststorage_api._auth.jwt._token import BadToken, ParsedToken

__all__ = ["KeyRing", "secret_ring", "set_ring", "single_ring"]

_KEYS_MAX: Final = 100
_RSA_BITS_MIN: Final = 2048
_SECRET_BYTES_MIN: Final = 32
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}

Key = RSAKey | ECKey | OKPKey | OctKey


class _Registry(JWSRegistry):
    """Without warnings about algorithms: configuration has chosen, `EdDSA` included."""

    max_header_length = 4096

    def get_alg(self, name: str) -> Any:
        if name not in (self.allowed or ()):
            raise UnsupportedAlgorithmError(f"{name} is not allowed")
        return self.algorithms[name]


class KeyRing:
    """Keys for verifying, each with the algorithms that it may be used with.

    Args:
        keys: Those that are fit; see the functions of this module.
        algorithms: Those that configuration allows.
    """

    def __init__(self, keys: Iterable[Key], algorithms: Collection[str]) -> None:
        self._algorithms = frozenset(algorithms)
        self._entries = [(_key_id(key), key, self._fit(key)) for key in keys]
        # One key without a name of its own stands for whatever name a token gives it.
        self._is_nameless = len(self._entries) == 1 and self._entries[0][0] is None
        self._registry = _Registry(algorithms=sorted(algorithms), strict_check_header=False)

    def __bool__(self) -> bool:
        return any(fit for _, _, fit in self._entries)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, KeyRing) and self._marks() == other._marks()

    __hash__ = None  # type: ignore[assignment]

    def knows(self, key_id: str | None) -> bool:
        """Whether a token that names this key can be judged: without a name, by any key."""
        if key_id is None or self._is_nameless:
            return True
        return any(known == key_id for known, _, _ in self._entries)

    def verify(self, text: str, token: ParsedToken) -> None:
        """Check the signature.

        Raises:
            BadToken: It is not that of the key, or there is no key for it.
        """
        if token.algorithm not in self._algorithms:
            raise BadToken("alg is not allowed")
        candidates = [
            key
            for known, key, fit in self._entries
            if token.algorithm in fit
            if self._is_nameless or token.key_id is None or known == token.key_id
        ]
        if not candidates:
            raise BadToken("no key for it")
        if len(candidates) > 1:
            raise BadToken("more than one key for it")
        try:
            deserialize_compact(text, candidates[0], registry=self._registry)
        except (JoseError, ValueError, TypeError) as error:
            raise BadToken("the signature is not good") from error

    def _fit(self, key: Key) -> frozenset[str]:
        """The allowed algorithms that this key is for: by type, curve, and what it says itself."""
        fit = {name for name in self._algorithms if _matches(key, name)}
        said = key.get("alg")
        return frozenset(fit if said is None else fit & {said})

    def _marks(self) -> list[tuple[str | None, str, frozenset[str]]]:
        return sorted(
            ((known, key.thumbprint(), fit) for known, key, fit in self._entries),
            key=lambda mark: mark[1],
        )


def set_ring(document: Any, algorithms: Collection[str]) -> KeyRing:
    """The usable keys of a key set (RFC 7517, 5). Others in it are none of our business.

    Raises:
        ValueError: It is no key set, or none of its keys is of use.
    """
    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list) or len(listed) > _KEYS_MAX:
        raise ValueError(f"no key set of at most {_KEYS_MAX} keys")
    keys = [key for each in listed if (key := _public_key(each)) is not None]
    ring = KeyRing(keys, algorithms)
    if not ring:
        raise ValueError("no key in the set fits the configured algorithms")
    return ring


def single_ring(text: str, algorithms: Collection[str]) -> KeyRing:
    """One public key, as PEM or as a JWK.

    Raises:
        ValueError: It is none, a private one, too short, or none of the algorithms is for it.
    """
    is_json = text.lstrip().startswith("{")
    key = _public_key(json.loads(text)) if is_json else _pem_key(text)
    ring = KeyRing([] if key is None else [key], algorithms)
    if not ring:
        raise ValueError("no public key that fits the configured algorithms")
    return ring


def secret_ring(text: str, algorithms: Collection[str]) -> KeyRing:
    """A shared secret.

    Raises:
        ValueError: It is too short.
    """
    raw = text.encode()
    if len(raw) < _SECRET_BYTES_MIN:
        raise ValueError(f"the secret has less than {_SECRET_BYTES_MIN} bytes")
    return KeyRing([OctKey.import_key(raw)], algorithms)


def _pem_key(text: str) -> Key | None:
    for kind in (RSAKey, ECKey, OKPKey):
        try:
            key = _imported(kind.import_key, text)
        except (JoseError, ValueError, TypeError):
            continue
        return key if _is_strong(key) else None
    return None


def _public_key(value: Any) -> Key | None:
    """A JWK that may verify signatures. A shared secret in a public set is nobody's secret."""
    # What is of another type than it should be makes a key of no use, and no other one either.
    if not isinstance(value, dict) or value.get("kty") not in ("RSA", "EC", "OKP"):
        return None
    operations = value.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if value.get("use", "sig") != "sig" or "d" in value:
        return None
    if value["kty"] not in JWKRegistry.key_types:
        return None
    try:
        key = _imported(import_key, value)
        return key if _is_strong(key) else None
    except (JoseError, ValueError, TypeError, KeyError):
        return None


def _imported(load: Callable[[Any], Key], value: Any) -> Key:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)  # what is too short is refused below
        return load(value)


def _is_strong(key: Key) -> bool:
    return not isinstance(key, RSAKey) or key.raw_value.key_size >= _RSA_BITS_MIN


def _matches(key: Key, algorithm: str) -> bool:
    if isinstance(key, OctKey):
        return algorithm.startswith("HS")
    if isinstance(key, RSAKey):
        return algorithm.startswith(("RS", "PS"))
    if isinstance(key, ECKey):
        return _CURVES.get(algorithm) == key.curve_name
    return algorithm in {"EdDSA", "Ed25519"} and key.get("crv") == "Ed25519"


def _key_id(key: Key) -> str | None:
    known = key.get("kid")
    return known if isinstance(known, str) else None
