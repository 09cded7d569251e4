"""`Idempotency-Key`: what makes two requests the same one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from juststorage.domain import IdempotencyKey, NewObject

__all__ = ["copy_request", "idempotency_key", "upload_request"]

_encode: Final = msgspec.json.Encoder(enc_hook=str).encode


def idempotency_key(
    fields: Mapping[bytes, bytes], request: tuple[Any, ...], ttl_s: float
) -> IdempotencyKey | None:
    """The key that came with a request; None where there is none.

    Args:
        fields: The request's header fields.
        request: All that the key covers but the content, as JSON values.
        ttl_s: How long the first answer is kept.

    Raises:
        Invalid: It is not 1 to 255 visible ASCII characters.
    """
    text = fields.get(b"idempotency-key")
    if text is None:
        return None
    digest = hashlib.sha256(_encode(request)).hexdigest()
    return IdempotencyKey(text=text.decode("latin-1"), request=digest, ttl_s=ttl_s)


def upload_request(method: str, new: NewObject) -> tuple[Any, ...]:
    """What the key of an upload covers: method, target, content type and metadata."""
    return (
        method,
        new.namespace,
        new.tenant_id,
        new.key,
        new.storage_class,
        new.content_type,
        new.metadata.encoded.decode(),
    )


def copy_request(tenant_id: str, source: str, target: Any) -> tuple[Any, ...]:
    """What the key of a copy covers: its source and its body."""
    return ("copy", tenant_id, source, target)
