"""A place for backups in memory, what is done with it, and stores that fail or forget."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from juststorage.domain import ContentHash, Locator, ObjectId, StorageClass, StoredObject
from juststorage.errors import Unavailable
from juststorage.plugins import NoOptions
from juststorage.plugins.memory import MEMORY_BLOBS, MEMORY_METADATA
from juststorage.ports import BlobStore, StagedBlob
from juststorage.testing import open_context
from juststorage.testing.faults import WrappedBlobStore
from juststorage.usecases import (
    BackupReport,
    BackupTarget,
    CreateBackup,
    Damage,
    FixedPlaces,
    Manifest,
    RestoreBackup,
    RestoreReport,
    VerifyBackup,
)

Service = Any  # of the conftest above

LARGE = bytes(range(256)) * 4096
"""A MiB: staged and streamed, where small ones are put at once."""


@dataclass
class Seen:
    """A watcher that adds up."""

    expected: int = 0
    done: int = 0

    def expects(self, size_bytes: int) -> None:
        self.expected += size_bytes

    def moved(self, size_bytes: int) -> None:
        self.done += size_bytes


class At(WrappedBlobStore):
    """A store where something happens before calls of one name."""

    def __init__(
        self, inner: BlobStore, method: str, happens: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(inner)
        self._method = method
        self._happens = happens

    async def on(self, method: str) -> None:
        if method == self._method:
            await self._happens()


class Cut:
    """Fails when it is awaited for the n-th time."""

    def __init__(self, turn: int) -> None:
        self._left = turn

    async def __call__(self) -> None:
        self._left -= 1
        if self._left == 0:
            raise Unavailable("cut")


class Volatile(WrappedBlobStore):
    """A store in which what others have placed is lost in a power cut, until it is made durable."""

    def __init__(self, inner: BlobStore) -> None:
        super().__init__(inner)
        self._durable: set[Locator] = set()
        self.is_broken = False

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        locator = await super().place(staged, content_hash)
        self._durable.add(locator)
        return locator

    async def put(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> Locator:
        locator = await super().put(upload_id, content_hash, data)
        self._durable.add(locator)
        return locator

    async def make_durable(self, locators: Sequence[Locator]) -> None:
        if self.is_broken and locators:
            raise Unavailable("a sync failed")
        self._durable.update(locators)

    async def power_cut(self) -> int:
        """Lose what is not durable; how many blobs that is."""
        placed = [blob.locator for blob in await self.scan(after=None, limit=1000)]
        lost = [locator for locator in placed if locator not in self._durable]
        await self.remove(lost)
        return len(lost)


@dataclass
class Vault:
    """A target in memory, and what is done with it."""

    contents: Any
    manifests: Any
    seen: Seen = field(default_factory=Seen)

    @property
    def target(self) -> BackupTarget:
        return BackupTarget(self.contents, self.manifests, FixedPlaces(self.contents))

    def creation(self, service: Service, **options: Any) -> CreateBackup:
        return CreateBackup(
            service.metadata,
            service.blobs,
            service.hashers,
            self.target,
            clock=service.clock,
            watcher=self.seen,
            jobs=2,
            made_by="test",
            **options,
        )

    async def create(self, service: Service) -> BackupReport:
        return await self.creation(service).run()

    async def newest(self) -> Manifest:
        return await self.target.manifest(None)

    async def verify(self, service: Service, **options: Any) -> list[Damage]:
        verifying = VerifyBackup(
            service.hashers, self.target, clock=service.clock, watcher=Seen(), jobs=2, **options
        )
        return [damage async for damage in verifying.run(await self.newest())]

    def manifest_of(self, backup_id: str, service: Service) -> tuple[ContentHash, bytes]:
        """What a manifest is named by, and its bytes."""
        (data,) = [data for data in self.manifests._placed.values() if backup_id.encode() in data]
        return service.hasher.hash(data), data

    async def restore(
        self, service: Service, *, backup_id: str | None = None, **options: Any
    ) -> RestoreReport:
        restoring = RestoreBackup(
            service.metadata,
            service.blobs,
            service.hashers,
            self.target,
            clock=service.clock,
            watcher=Seen(),
            jobs=2,
            **options,
        )
        there = await self.target.manifests()
        return await restoring.run(await restoring.choose(there, backup_id))

    async def damage(self, data: bytes, service: Service, becomes: bytes) -> None:
        """Give contents of the backup other bytes."""
        content_hash = service.hasher.hash(data)
        await self.contents.put(StoredObject, content_hash, becomes)

    async def lose(self, data: bytes, service: Service) -> None:
        """Remove contents from the backup."""
        place = self.contents.locator_of(service.hasher.hash(data))
        await self.contents.remove([place])

    # -- what else a test needs -------------------------------------------------------------------

    @staticmethod
    def at(store: BlobStore, method: str, happens: Callable[[], Awaitable[None]]) -> At:
        """The store, where something happens before calls of this name."""
        return At(store, method, happens)

    @staticmethod
    def cut(turn: int) -> Cut:
        """What happens: a failure at the n-th call, whichever of several stores it is to."""
        return Cut(turn)

    @staticmethod
    def volatile(store: BlobStore) -> Volatile:
        """The store, losing in a power cut what is not durable."""
        return Volatile(store)

    @staticmethod
    def empty(service: Service, **parts: Any) -> AbstractAsyncContextManager[Service]:
        """Another service, with nothing in it but what is said."""
        return _empty(service, **parts)

    @staticmethod
    async def fill(service: Service) -> list[StoredObject]:
        """Objects large and small, two of one content, one of it in both classes."""
        upload = service.upload()
        cold = service.intent("cold", storage_class=StorageClass.COLD)
        return [
            (await upload.whole(service.intent("small"), b"small")).object,
            (await upload.whole(service.intent(), b"small")).object,
            (await upload.whole(cold, b"small")).object,
            (await upload.whole(service.intent("empty"), b"")).object,
            (await upload.stream(service.intent("large"), service.body(LARGE))).object,
        ]

    @staticmethod
    async def contents_of(service: Service, objects: list[StoredObject]) -> list[bytes]:
        """The bytes of these objects, by their ids."""
        found = []
        for each in objects:
            stored = await service.metadata.objects.find(each.tenant_id, each.id)
            assert stored is not None
            found.append(await service.content(stored))
        return found


@pytest.fixture
async def vault(service: Service) -> AsyncIterator[Vault]:
    """An empty one."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        context = await enter(open_context(clock=service.clock))
        yield Vault(
            await enter(MEMORY_BLOBS.open(NoOptions(), context)),
            await enter(MEMORY_BLOBS.open(NoOptions(), context)),
        )


@asynccontextmanager
async def _empty(service: Service, **parts: Any) -> AsyncIterator[Service]:
    """Another service, with nothing in it but what is said."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        context = await enter(open_context(clock=service.clock))
        yield replace(
            service,
            metadata=await enter(MEMORY_METADATA.open(NoOptions(), context)),
            blobs=parts.get("blobs")
            or {
                each: await enter(MEMORY_BLOBS.open(NoOptions(), context)) for each in StorageClass
            },
        )
