"""IdempotencyRepository: the first answers to requests that clients may send again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec

from juststorage.domain import TenantId
from juststorage.ports._objects import Committed

__all__ = ["IdempotencyRecord", "IdempotencyRepository", "decode_answer", "encode_answer"]


class IdempotencyRecord(msgspec.Struct, frozen=True, gc=False):
    """What a key stands for.

    Args:
        request: As in `IdempotencyKey`.
        committed: The first answer; None while its upload is under way. Its object is as it was
            then, whatever has become of it since, and has no locator.
    """

    request: str
    committed: Committed | None


class IdempotencyRepository(ABC):
    """Records of keys. See `MetadataStore` for what holds for every method.

    `ObjectRepository` writes them: a record is made by the transaction that begins an upload whose
    intent has a key, and gets its answer in the transaction that commits it. So there is an answer
    exactly if the object was committed, also when the process dies before it can be sent.

    A record without an answer counts only while its upload is WRITING and has its lease: one that
    failed, or died, is as if it had never been.
    """

    @abstractmethod
    async def find(self, tenant_id: TenantId, text: str) -> IdempotencyRecord | None:
        """What the key stands for now; None where nothing does, or no longer."""

    @abstractmethod
    async def purge(self, *, limit: int) -> int:
        """Delete records whose time is over, and of whose uploads none is under way.

        Returns:
            How many, up to `limit`.
        """


_encoder: Final = msgspec.json.Encoder(enc_hook=str)


def _text(kind: type[Any], value: Any) -> Any:
    """A name that was checked when it came in."""
    return str.__new__(kind, value)


_decoder: Final = msgspec.json.Decoder(Committed, dec_hook=_text)


def encode_answer(committed: Committed) -> str:
    """An answer as JSON text, for a store to keep."""
    bare = msgspec.structs.replace(committed.object, locator=None)
    return _encoder.encode(msgspec.structs.replace(committed, object=bare)).decode()


def decode_answer(text: str) -> Committed:
    """The answer that `encode_answer` made this text of."""
    return _decoder.decode(text)
