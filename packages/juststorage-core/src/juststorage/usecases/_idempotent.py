"""Idempotency: a request that is sent again gets the first answer, and does nothing."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from juststorage.domain import ContentHash, IdempotencyKey, TenantId
from juststorage.errors import IdempotencyInFlight, IdempotencyMismatch
from juststorage.ports import Committed, MetadataStore, StagedBlob

__all__ = ["FirstAnswers", "Nowhere"]


class FirstAnswers:
    """Looks first answers up. Cost: one statement for a request with a key, none for others.

    To look is not enough when two requests arrive at once: the transaction that begins an upload
    looks again, and lets one of them through.
    """

    def __init__(self, metadata: MetadataStore) -> None:
        self._records = metadata.idempotency

    async def find(self, tenant_id: TenantId, key: IdempotencyKey | None) -> Committed | None:
        """The answer that this request has had before; None if this is the first.

        Raises:
            IdempotencyMismatch: The key stands for another request.
            IdempotencyInFlight: The first request is still under way.
        """
        if key is None:
            return None
        record = await self._records.find(tenant_id, key.text)
        if record is None:
            return None
        if record.request != key.request:
            raise IdempotencyMismatch("this Idempotency-Key was used for another request")
        if record.committed is None:
            raise IdempotencyInFlight(
                "a request with this Idempotency-Key is still under way", retry_after_s=1
            )
        return replace(record.committed, is_repeated=True)

    @staticmethod
    def check_content(first: Committed, content_hash: ContentHash) -> None:
        """Refuse a request whose content is not that of the first.

        Raises:
            IdempotencyMismatch: It is another one.
        """
        if first.object.content_hash != content_hash:
            raise IdempotencyMismatch("this Idempotency-Key was used for other content")


class Nowhere(StagedBlob):
    """Takes a body that is only to be hashed."""

    def __init__(self) -> None:
        self.size_bytes = 0

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Count, and forget."""
        self.size_bytes += len(data)

    async def write_parts(self, parts: Sequence[bytes]) -> None:
        """Count, and forget."""
        self.size_bytes += sum(map(len, parts))

    async def finish(self) -> None:
        """There is nothing to make durable."""

    async def aclose(self) -> None:
        """There is nothing to discard."""
