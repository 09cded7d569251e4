"""UploadTicket: what a resumable upload means to become, as text that its client carries.

The row of an upload says whose it is and how long it lives, and the blob store how many bytes it
has. The rest (how many there will be, what they must hash to, what must hold for the key) is needed
by the last request only, and whoever comes then brings it along, signed: no row has to be read or
changed for it, and any instance can go on.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime
from typing import Final

import msgspec

from juststorage.domain import (
    Conditions,
    ContentHash,
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.errors import Invalid, NotFound
from juststorage.ports import Lease, UploadIntent

__all__ = ["TicketCodec", "UploadTicket"]

_TAG_BYTES: Final = 16
_LENGTH_MAX: Final = 32_768
_PURPOSE: Final = b"resumable upload\n"


class UploadTicket(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The right to add to one upload, for whoever may write where it is.

    Args:
        lease: Of the upload. Its object has neither content type nor metadata: those are in the
            row alone.
        size_bytes: Bytes of the whole content.
        expected: Digests that the client announced.
    """

    lease: Lease
    size_bytes: int
    expected: tuple[ContentHash, ...] = ()

    @property
    def upload_id(self) -> ObjectId:
        """The id that the object will have."""
        return self.lease.object.id

    @property
    def tenant_id(self) -> TenantId:
        """Whose it is."""
        return self.lease.object.tenant_id

    @property
    def namespace(self) -> Namespace:
        """Where it is going."""
        return self.lease.object.namespace


class _Payload(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A ticket on the wire; fields may be added at the end, with a default."""

    id: str
    epoch: int
    began_at: datetime
    namespace: str
    tenant_id: str
    key: str | None
    storage_class: StorageClass
    replace: bool
    if_match: list[str] | None
    if_none_match: list[str] | None
    size_bytes: int
    expected: list[str]


class TicketCodec:
    """Writes and reads tickets, signed with a secret that all processes of a store share."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def encode(self, ticket: UploadTicket) -> str:
        """The ticket as text that may stand in a path as it is."""
        lease, new, conditions = ticket.lease, ticket.lease.object, ticket.lease.intent.conditions
        payload = msgspec.json.encode(
            _Payload(
                id=str(new.id),
                epoch=lease.epoch,
                began_at=new.created_at,
                namespace=str(new.namespace),
                tenant_id=str(new.tenant_id),
                key=None if new.key is None else str(new.key),
                storage_class=new.storage_class,
                replace=lease.intent.replace,
                if_match=_texts(conditions.if_match),
                if_none_match=_texts(conditions.if_none_match),
                size_bytes=ticket.size_bytes,
                expected=[str(each) for each in ticket.expected],
            )
        )
        return base64.urlsafe_b64encode(self._tag(payload) + payload).decode().rstrip("=")

    def decode(self, text: str) -> UploadTicket:
        """The ticket that a text stands for.

        Raises:
            NotFound: It was not made by `encode`, with this store's secret.
        """
        try:
            if len(text) > _LENGTH_MAX:
                raise ValueError
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            tag, payload = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
            if not hmac.compare_digest(tag, self._tag(payload)):
                raise ValueError
            return _ticket(msgspec.json.decode(payload, type=_Payload))
        except (ValueError, binascii.Error, msgspec.MsgspecError, Invalid):
            # A later release may sign what this one cannot read: nothing to go on with either.
            raise NotFound("there is no such upload") from None

    def _tag(self, payload: bytes) -> bytes:
        # The purpose first: the secret signs other things as well, and none may pass for another.
        return hmac.new(self._secret, _PURPOSE + payload, hashlib.sha256).digest()[:_TAG_BYTES]


def _texts(hashes: frozenset[ContentHash] | None) -> list[str] | None:
    return None if hashes is None else sorted(map(str, hashes))


def _hashes(texts: list[str] | None) -> frozenset[ContentHash] | None:
    return None if texts is None else frozenset(map(ContentHash, texts))


def _ticket(payload: _Payload) -> UploadTicket:
    new = NewObject(
        id=ObjectId(payload.id),
        namespace=Namespace(payload.namespace),
        tenant_id=TenantId(payload.tenant_id),
        key=None if payload.key is None else ObjectKey(payload.key),
        storage_class=payload.storage_class,
    )
    intent = UploadIntent(
        new=new,
        replace=payload.replace,
        conditions=Conditions(
            if_match=_hashes(payload.if_match), if_none_match=_hashes(payload.if_none_match)
        ),
    )
    return UploadTicket(
        lease=Lease(
            intent=intent, object=StoredObject.begin(new, payload.began_at), epoch=payload.epoch
        ),
        size_bytes=payload.size_bytes,
        expected=tuple(map(ContentHash, payload.expected)),
    )
