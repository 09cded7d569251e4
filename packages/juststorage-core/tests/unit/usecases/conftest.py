"""A whole service in memory, without sockets, for the use cases."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from juststorage.domain import (
    UNCONDITIONAL,
    Conditions,
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.plugins import NoOptions
from juststorage.plugins.builtin import AGE, SHA256, AgeOptions
from juststorage.plugins.memory import MEMORY_BLOBS, MEMORY_METADATA
from juststorage.ports import BlobStore, GCPolicy, Hasher, MetadataStore, UploadIntent
from juststorage.testing import FakeClock, open_context
from juststorage.usecases import (
    CollectGarbage,
    CollectionLimits,
    DownloadObject,
    ResumeUpload,
    TicketCodec,
    UploadLimits,
    UploadObject,
)

NOW = CollectionLimits(
    grace_s=0, trash_retention_s=0, staging_grace_s=0, tombstone_retention_s=0, batch_size=4
)
"""Everything at once: safety must not rest on any of these times."""


@dataclass
class Service:
    """The ports, and the use cases over them."""

    clock: FakeClock
    metadata: MetadataStore
    blobs: dict[StorageClass, BlobStore]
    hasher: Hasher
    policy: GCPolicy
    limits: UploadLimits = field(
        default=UploadLimits(bytes_max=8_000_000, lease_s=600, idle_s=30, rate_min_bytes_s=100)
    )

    @property
    def at_once(self) -> CollectionLimits:
        """The limits of a collection that leaves nothing any time."""
        return NOW

    @property
    def hashers(self) -> dict[str, Hasher]:
        return {self.hasher.algorithm: self.hasher}

    def upload(self, **options: Any) -> UploadObject:
        return UploadObject(
            self.metadata,
            self.blobs,
            self.hashers,
            algorithm="sha256",
            clock=self.clock,
            limits=self.limits,
            **options,
        )

    def resume(self, metadata: MetadataStore | None = None, **options: Any) -> ResumeUpload:
        """Uploads in several requests, as one process would take them."""
        return ResumeUpload(
            metadata or self.metadata,
            self.blobs,
            self.hashers,
            algorithm="sha256",
            clock=self.clock,
            limits=self.limits,
            codec=TicketCodec(b"s" * 32),
            **{"resumable_for_s": 3600.0, **options},
        )

    def download(self, **options: Any) -> DownloadObject:
        return DownloadObject(self.metadata, self.blobs, self.hashers, **options)

    def collect(self, limits: CollectionLimits = NOW) -> CollectGarbage:
        return CollectGarbage(
            self.metadata, self.blobs, self.policy, clock=self.clock, limits=limits
        )

    @staticmethod
    def intent(
        key: str | None = None,
        *,
        replace: bool = False,
        conditions: Conditions = UNCONDITIONAL,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> UploadIntent:
        """What an upload means to do."""
        new = NewObject(
            id=ObjectId.new(),
            namespace=Namespace("models"),
            tenant_id=TenantId("acme"),
            key=None if key is None else ObjectKey(key),
            storage_class=storage_class,
        )
        return UploadIntent(new=new, replace=replace, conditions=conditions)

    @staticmethod
    async def body(*chunks: bytes) -> AsyncIterator[bytes]:
        """A body that arrives in these chunks."""
        for chunk in chunks:
            yield chunk

    async def content(self, stored: StoredObject) -> bytes:
        async with await self.download().open(stored) as reader:
            return b"".join([part async for part in reader.chunks(0, reader.size_bytes)])

    async def deleted(self, data: bytes) -> StoredObject:
        """An object that was there, and whose bytes are garbage now."""
        found = (await self.upload().whole(self.intent(), data)).object
        await self.metadata.objects.delete(found.tenant_id, found.id)
        return found

    async def placed(self) -> list[str]:
        """The locators of all placed blobs, hot and cold."""
        return [
            placed.locator
            for store in self.blobs.values()
            for placed in await store.scan(after=None, limit=1000)
        ]

    async def staged(self) -> int:
        """How many staged entries there are."""
        return sum([len(await s.staged(older_than_s=0, limit=1000)) for s in self.blobs.values()])


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    """A service of memory stores, on a clock that the test moves."""
    clock = FakeClock()
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        context = await enter(open_context(clock=clock))
        yield Service(
            clock=clock,
            metadata=await enter(MEMORY_METADATA.open(NoOptions(), context)),
            blobs={
                storage_class: await enter(MEMORY_BLOBS.open(NoOptions(), context))
                for storage_class in StorageClass
            },
            hasher=await enter(SHA256.open(NoOptions(), context)),
            policy=await enter(AGE.open(AgeOptions(), context)),
        )
