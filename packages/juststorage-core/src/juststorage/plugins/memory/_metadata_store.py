"""The metadata store: its repositories over one set of rows."""

from __future__ import annotations

import secrets

from anyio.lowlevel import checkpoint

from juststorage.plugins.memory._api_keys import MemoryApiKeyRepository
from juststorage.plugins.memory._audit import MemoryAuditRepository
from juststorage.plugins.memory._backups import MemoryBackupRepository
from juststorage.plugins.memory._blobs import MemoryBlobRepository
from juststorage.plugins.memory._idempotency import MemoryIdempotencyRepository
from juststorage.plugins.memory._objects import MemoryObjectRepository
from juststorage.plugins.memory._rows import Rows
from juststorage.plugins.memory._tallies import MemoryTallyRepository
from juststorage.plugins.memory._usage import MemoryUsageRepository
from juststorage.ports import Clock, MetadataStore, ReadOnlySwitch

__all__ = ["MemoryMetadataStore"]


class MemoryMetadataStore(MetadataStore):
    """See `MetadataStore`, and `_rows` for what makes its methods transactions."""

    def __init__(self, clock: Clock, *, audit: bool = False) -> None:
        self.audit = MemoryAuditRepository(clock, enabled=audit)
        self.tallies = MemoryTallyRepository()
        self.rows = Rows(clock, object_became=self.audit.object_became)
        self.objects = MemoryObjectRepository(self.rows)
        self.blobs = MemoryBlobRepository(self.rows)
        self.api_keys = MemoryApiKeyRepository(clock, became=self.audit.key_became)
        self.idempotency = MemoryIdempotencyRepository(self.rows)
        self.usage = MemoryUsageRepository(self.rows)
        self.backups = MemoryBackupRepository(self.rows, self.api_keys, self.audit)
        self._secrets: dict[str, bytes] = {}
        self._read_only = ReadOnlySwitch()

    async def ping(self) -> None:
        await checkpoint()

    async def read_only(self) -> ReadOnlySwitch:
        await checkpoint()
        return self._read_only

    async def turn_read_only(self, *, on: bool) -> ReadOnlySwitch:
        await checkpoint()
        self._read_only = ReadOnlySwitch(on=on, turns=self._read_only.turns + 1)
        return self._read_only

    async def secret(self, name: str) -> bytes:
        await checkpoint()
        return self._secrets.setdefault(name, secrets.token_bytes(32))
