"""Objects as clients see them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, cast

import msgspec
from msgspec import Meta

from juststorage.domain import ObjectStatus, Principal, StorageClass, StoredObject

__all__ = ["UUID_PATTERN", "ObjectDto", "ObjectPage", "encode", "location_of", "object_dto"]

UUID_PATTERN: Final = "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"
CONTENT_HASH_PATTERN: Final = (
    "^(sha256:[0-9a-f]{64}|(?!sha256:)[a-z][a-z0-9_]{0,31}:([0-9a-f]{2}){16,64})$"
)


class ObjectDto(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """An object: what it is called, what it holds, and what its owner says about it."""

    id: Annotated[
        str,
        Meta(
            description="A UUID, for ever this object's; a replacement has another one",
            pattern=UUID_PATTERN,
            examples=["01a21098-f290-7cc4-9518-d64de021c446"],
        ),
    ]
    namespace: Annotated[str, Meta(examples=["models"])]
    tenant_id: Annotated[str, Meta(examples=["acme"])]
    key: Annotated[
        str | None, Meta(description="The client's own name for it", examples=["bert/weights.bin"])
    ]
    status: Annotated[ObjectStatus, Meta(examples=["COMMITTED"])]
    storage_class: StorageClass
    content_hash: Annotated[
        str,
        Meta(
            description="The name of its bytes: an algorithm, `sha256` unless the service is"
            " configured otherwise, and lower-case hex",
            pattern=CONTENT_HASH_PATTERN,
            examples=["sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"],
        ),
    ]
    size_bytes: Annotated[int, Meta(ge=0, examples=[5])]
    content_type: Annotated[str, Meta(examples=["application/octet-stream"])]
    metadata: Annotated[
        dict[str, Any],
        Meta(description="The client's own JSON object", examples=[{"owner": "ml-team"}]),
    ]
    created_at: Annotated[datetime, Meta(examples=["2026-11-25T02:46:28.752716Z"])]
    updated_at: Annotated[datetime, Meta(examples=["2026-11-25T02:46:28.752716Z"])]


class ObjectPage(msgspec.Struct, frozen=True, kw_only=True):
    """Some objects in order, and where to go on."""

    objects: list[ObjectDto]
    next_cursor: Annotated[
        str | None, Meta(description="Send it as `cursor` for the next page; null on the last one")
    ]


encode: Final = msgspec.json.Encoder().encode


def object_dto(stored: StoredObject) -> ObjectDto:
    """A COMMITTED object for clients."""
    assert stored.content_hash is not None and stored.size_bytes is not None
    return ObjectDto(
        # str(): msgspec writes str, not its subclasses.
        id=str(stored.id),
        namespace=str(stored.namespace),
        tenant_id=str(stored.tenant_id),
        key=None if stored.key is None else str(stored.key),
        status=stored.status,
        storage_class=stored.storage_class,
        content_hash=str(stored.content_hash),
        size_bytes=stored.size_bytes,
        content_type=stored.content_type,
        # It is JSON text already, and is written as it is instead of being decoded and encoded.
        metadata=cast("dict[str, Any]", msgspec.Raw(stored.metadata.encoded)),
        created_at=stored.created_at,
        updated_at=stored.updated_at,
    )


def location_of(caller: Principal, stored: StoredObject) -> str:
    """Where the caller finds the object."""
    location = f"/v1/objects/{stored.id}"
    if caller.tenants is None or len(caller.tenants) != 1:
        # Who holds several tenants must name one, also when following this link.
        location += f"?tenant_id={stored.tenant_id}"
    return location
