"""Backups of a service in memory: what fails, what is interrupted, and what comes back.

Longer than most: every failure is tried with the same vault and the same store that fails.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import anyio
import pytest

from juststorage.domain import ContentHash, Locator, ObjectId, StorageClass, StoredObject
from juststorage.errors import (
    BlobMissing,
    Corrupt,
    Invalid,
    InvalidState,
    JustStorageError,
    Misconfigured,
    NotFound,
    StorageFull,
    Unavailable,
)
from juststorage.plugins import NoOptions
from juststorage.plugins.memory import MEMORY_BLOBS, MEMORY_METADATA
from juststorage.ports import BlobStore, StagedBlob
from juststorage.testing import make_api_key, open_context
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

Service = Any  # of the conftest

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

    async def restore(self, service: Service, **options: Any) -> RestoreReport:
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
        return await restoring.run(await self.newest())

    async def damage(self, data: bytes, service: Service, becomes: bytes) -> None:
        """Give contents of the backup other bytes."""
        content_hash = service.hasher.hash(data)
        await self.contents.put(StoredObject, content_hash, becomes)

    async def lose(self, data: bytes, service: Service) -> None:
        """Remove contents from the backup."""
        place = self.contents.locator_of(service.hasher.hash(data))
        await self.contents.remove([place])


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
async def empty(service: Service, **parts: Any) -> AsyncIterator[Service]:
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


async def filled(service: Service) -> list[StoredObject]:
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


async def contents_of(service: Service, objects: list[StoredObject]) -> list[bytes]:
    """The bytes of these objects, by their ids."""
    found = []
    for each in objects:
        stored = await service.metadata.objects.find(each.tenant_id, each.id)
        assert stored is not None
        found.append(await service.content(stored))
    return found


# -- failures -------------------------------------------------------------------------------------


async def test_a_cut_manifest_is_no_backup(service: Service, vault: Vault) -> None:
    """It is named, the older backup is the newest one then, and restores."""
    await filled(service)
    first = await vault.create(service)
    second = await vault.create(service)
    (data,) = [data for data in vault.manifests._placed.values() if second.id.encode() in data]
    content_hash = service.hasher.hash(data)
    for broken in (
        data[:-10],
        data[:-70],
        data[: len(data) // 2],
        b"",
        data.replace(b"2", b"3", 1),
    ):
        await vault.manifests.put(StoredObject, content_hash, broken)
        found, (wrong,) = await vault.target.manifests()
        assert [each.id for each in found] == [first.id]
        assert "manifest is damaged" in wrong
        with pytest.raises(NotFound, match="1 cannot be read"):
            await vault.target.manifest(second.id)
    assert (await vault.newest()).id == first.id
    async with empty(service) as other:
        assert (await vault.restore(other)).ended


async def test_no_backup_at_all(service: Service, vault: Vault) -> None:
    """Neither an empty target nor one with nothing but damage is taken for a backup."""
    with pytest.raises(NotFound, match="no backup here"):
        await vault.newest()
    await vault.manifests.put(StoredObject, service.hasher.hash(b"x"), b"x")
    with pytest.raises(Corrupt, match="no backup can be read"):
        await vault.newest()


@pytest.mark.parametrize("becomes", [b"smelL", b"smal", b""])
@pytest.mark.parametrize("discard", [False, True])
async def test_damaged_contents_are_found(
    service: Service, vault: Vault, becomes: bytes, discard: bool
) -> None:
    """A bit that has flipped, and bytes that are missing; discarded, the next backup heals it."""
    await filled(service)
    await vault.create(service)
    await vault.damage(b"small", service, becomes)
    (damage,) = await vault.verify(service, discard=discard)
    assert damage.subject == service.hasher.hash(b"small")
    assert damage.discarded == discard
    assert len(await vault.verify(service, quick=True)) == (becomes != b"smelL" or discard)
    report = await vault.create(service)
    assert report.copied == (len(becomes) != 5 or discard)
    assert (await vault.verify(service) == []) == (len(becomes) != 5 or discard)


async def test_damaged_segments_are_found(service: Service, vault: Vault) -> None:
    """A state that is not whole is not restored from: nothing is changed."""
    await filled(service)
    await vault.create(service)
    (ref,) = (await vault.newest()).segments
    content_hash = ContentHash(ref.content_hash)
    data = vault.contents._placed[vault.contents.locator_of(content_hash)]
    for broken in (data[:-1], data[:20], bytes([data[0] ^ 1]) + data[1:]):
        await vault.contents.put(StoredObject, content_hash, broken)
        (damage,) = await vault.verify(service)
        assert damage.subject == ref.content_hash
        async with empty(service) as other:
            with pytest.raises(Corrupt, match="segment"):
                await vault.restore(other)
            assert await other.metadata.backups.holds() == []
            assert await other.placed() == []
    (damage,) = await vault.verify(service, discard=True)
    await vault.create(service)
    assert await vault.verify(service) == []


async def test_a_blob_that_is_lost_is_named(service: Service, vault: Vault) -> None:
    """What cannot be backed up does not keep the rest from it, and is not taken for backed up."""
    objects = await filled(service)
    hot = service.blobs[StorageClass.HOT]
    large = objects[4]
    assert large.locator is not None
    await hot.remove([large.locator])
    for trashed in await hot.trash(older_than_s=0, limit=9):
        await hot.purge([trashed])
    report = await vault.create(service)
    assert report.missing_count == 1 and str(large.content_hash) in report.missing[0]
    damages = await vault.verify(service)
    assert {"could not be read" in damage.detail for damage in damages} == {True, False}
    async with empty(service) as other:
        restored = await vault.restore(other)
        assert not restored.ended and str(large.content_hash) in restored.missing[0]
        assert len(await other.metadata.backups.holds()) == 1
        with pytest.raises(BlobMissing):
            await contents_of(other, [large])
        assert (await vault.restore(other, accept_missing=True)).ended
        assert await contents_of(other, objects[:4]) == [b"small", b"small", b"small", b""]
        # Whoever uploads the bytes again heals what refers to them.
        await other.upload().stream(other.intent(), other.body(LARGE))
        assert await contents_of(other, [large]) == [LARGE]


async def test_a_volume_that_is_lost_is_counted(service: Service, vault: Vault) -> None:
    """All blobs that are missing count, and the first thousand are named: memory has a bound."""
    upload = service.upload()
    for number in range(1002):
        await upload.whole(service.intent(), str(number).encode())
    hot = service.blobs[StorageClass.HOT]
    await hot.remove([placed.locator for placed in await hot.scan(after=None, limit=2000)])
    await hot.purge(await hot.trash(older_than_s=0, limit=2000))
    report = await vault.create(service)
    assert (report.missing_count, len(report.missing)) == (1002, 1000)
    async with empty(service) as other:
        restored = await vault.restore(other)
        assert (restored.missing_count, len(restored.missing)) == (1002, 1000)
        assert not restored.ended


async def test_one_class_stands_in_for_the_other(service: Service, vault: Vault) -> None:
    """Bytes that are damaged hot and whole cold are backed up."""
    (stored, *_) = await filled(service)
    await service.blobs[StorageClass.HOT].put(stored.id, service.hasher.hash(b"small"), b"smelL")
    report = await vault.create(service)
    assert report.missing_count == 0
    assert await vault.verify(service) == []


async def test_trashed_bytes_are_backed_up(service: Service, vault: Vault) -> None:
    """A collector that woke up late has moved them; they are brought back, as for a reader."""
    (stored, *_) = await filled(service)
    assert stored.locator is not None
    await service.blobs[StorageClass.HOT].remove([stored.locator])
    assert (await vault.create(service)).missing_count == 0
    assert await vault.verify(service) == []


async def test_a_full_target(service: Service, vault: Vault) -> None:
    """The backup fails as a whole, its hold ends, and there is no manifest."""

    async def full() -> None:
        raise StorageFull("no room")

    await filled(service)
    vault.contents = At(vault.contents, "stage", full)
    with pytest.raises(StorageFull):
        await vault.create(service)
    assert await service.metadata.backups.holds() == []
    assert await vault.target.manifests() == ([], [])


async def test_a_restore_into_something(service: Service, vault: Vault) -> None:
    """Refused, and nothing is changed."""
    await filled(service)
    await vault.create(service)
    with pytest.raises(InvalidState, match="objects"):
        await vault.restore(service)


async def test_a_class_that_is_not_there(service: Service, vault: Vault) -> None:
    """Refused before anything is changed; for a backup too."""
    await filled(service)
    await vault.create(service)
    hot = StorageClass.HOT
    async with empty(service, blobs={hot: service.blobs[hot]}) as other:
        with pytest.raises(Misconfigured, match="cold"):
            await vault.restore(other)
        assert await other.metadata.backups.holds() == []
    del service.blobs[StorageClass.COLD]
    await vault.lose(b"small", service)
    with pytest.raises(Unavailable, match="cold is not configured"):
        await vault.create(service)


async def test_which_backup(service: Service, vault: Vault) -> None:
    """By the beginning of its id, as long as that says which."""
    first = await vault.create(service)
    second = await vault.create(service)
    assert (await vault.target.manifest(first.id)).id == first.id
    assert (await vault.target.manifest(second.id)).id == second.id
    with pytest.raises(Invalid, match="2 backups"):
        await vault.target.manifest(first.id[:3])
    with pytest.raises(NotFound, match="no backup ffff"):
        await vault.target.manifest("ffff")


# -- collectors -----------------------------------------------------------------------------------


async def test_nothing_that_is_needed_is_collected(service: Service, vault: Vault) -> None:
    """All is deleted as soon as the state is known, with no grace and no trash."""
    objects = await filled(service)
    old = await service.deleted(b"old")
    await service.clock.advance(7200)

    async def collect() -> None:
        for each in objects:
            await service.metadata.objects.delete_many(each.tenant_id, [each.id])
        report = await service.collect().run()
        assert report.removed <= 1  # what had been garbage for long

    inner = vault.contents
    vault.contents = At(inner, "sizes", collect)
    assert (await vault.create(service)).missing_count == 0
    vault.contents = inner
    assert old.content_hash is not None
    assert all(old.content_hash not in locator for locator in await service.placed())
    async with empty(service) as other:
        await vault.restore(other)
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
    await service.collect().run()
    assert await service.placed() == []


async def test_a_hold_that_runs_out(service: Service, vault: Vault) -> None:
    """A backup that stood still for too long does not end as if it were one."""
    await filled(service)

    async def lose() -> None:
        for hold in await service.metadata.backups.holds():
            await service.metadata.backups.release(hold.name)

    inner = vault.contents
    vault.contents = At(inner, "stage", lose)
    with pytest.raises(Unavailable, match="ran out"):
        await vault.create(service)
    vault.contents = At(inner, "open", lose)
    with pytest.raises(Unavailable, match="ran out"):
        await vault.create(service)
    assert await vault.target.manifests() == ([], [])
    vault.contents = inner
    report = await vault.create(service)
    assert report.copied == 0  # it went on where they were


async def test_a_hold_is_renewed_while_it_lasts(service: Service, vault: Vault) -> None:
    """However long a copy takes, and though the metadata store is away for some of it."""
    await filled(service)
    renewals: list[bool] = []
    renew = service.metadata.backups.renew

    async def sometimes(name: str, *, hold_s: float) -> bool:
        renewals.append(len(renewals) != 1)
        if len(renewals) == 2:
            raise Unavailable("away")
        return await renew(name, hold_s=hold_s)

    service.metadata.backups.renew = sometimes  # type: ignore[method-assign]

    async def slow() -> None:
        for _ in range(10):
            await service.clock.advance(200)
            await anyio.lowlevel.checkpoint()

    vault.contents = At(vault.contents, "stage", slow)
    await vault.creation(service, hold_s=600).run()
    assert len(renewals) > 5
    assert await vault.verify(service) == []


async def test_a_hold_that_is_lost_ends_the_copy(service: Service, vault: Vault) -> None:
    """At once, not when all has been copied for nothing."""
    await filled(service)

    async def lose() -> None:
        for hold in await service.metadata.backups.holds():
            await service.metadata.backups.release(hold.name)
        await service.clock.advance(1000)
        await anyio.sleep_forever()

    vault.contents = At(vault.contents, "stage", lose)
    with anyio.fail_after(5), pytest.raises(Unavailable, match="ran out"):
        await vault.create(service)


async def test_a_hold_that_cannot_be_released(service: Service, vault: Vault) -> None:
    """It ends by itself; the backup is one."""

    async def away(name: str) -> None:
        raise Unavailable("away")

    service.metadata.backups.release = away  # type: ignore[method-assign]
    await vault.create(service)
    await vault.newest()


# -- interruptions --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["stage", "place", "put", "sizes", "open"])
async def test_an_interrupted_backup_goes_on(service: Service, vault: Vault, method: str) -> None:
    """At the first, second, third call: what was copied is not copied again."""
    objects = await filled(service)
    inner = vault.contents
    turn = 0
    while True:
        turn += 1
        left = turn

        async def cut() -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise Unavailable("cut")

        vault.contents = At(inner, method, cut)
        try:
            report = await vault.create(service)
        except Unavailable:
            assert await service.metadata.backups.holds() == []
            continue
        break
    assert turn > 1 and report.copied + report.found == 3
    vault.contents = inner
    assert await vault.verify(service) == []
    async with empty(service) as other:
        await vault.restore(other)
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_a_cancelled_backup_lets_go(service: Service, vault: Vault) -> None:
    """Ctrl-C releases the hold."""
    await filled(service)

    async def wait() -> None:
        scope.cancel()
        await anyio.sleep_forever()

    vault.contents = At(vault.contents, "stage", wait)
    with anyio.CancelScope() as scope:
        await vault.create(service)
    assert scope.cancelled_caught
    assert await service.metadata.backups.holds() == []


@pytest.mark.parametrize("method", ["stage", "place", "put", "open"])
async def test_an_interrupted_restore_goes_on(service: Service, vault: Vault, method: str) -> None:
    """At each call of each store; no collector takes what is there already."""
    objects = await filled(service)
    await vault.create(service)
    async with empty(service) as other:
        inner, turn = dict(other.blobs), 0
        while True:
            turn += 1
            left = turn

            async def cut() -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    raise Unavailable("cut")

            for storage_class, store in inner.items():
                other.blobs[storage_class] = At(store, method, cut)
            try:
                report = await vault.restore(other)
            except Unavailable:
                other.blobs.update(inner)
                assert (await other.collect().run()).removed == 0
                continue
            break
        other.blobs.update(inner)
        assert turn > 1 and report.ended and report.continued
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
        assert await other.metadata.backups.holds() == []
        with pytest.raises(InvalidState, match="objects"):
            await vault.restore(other)


async def test_what_a_backup_finds_survives_a_power_cut(service: Service, vault: Vault) -> None:
    """Another backup placed it, and died, or has not made it durable yet; none is made of less."""
    await filled(service)
    await vault.create(service)
    vault.contents = Volatile(vault.contents)
    vault.contents.is_broken = True
    with pytest.raises(Unavailable, match="a sync failed"):
        await vault.create(service)
    assert len((await vault.target.manifests())[0]) == 1
    vault.contents.is_broken = False
    report = await vault.create(service)
    assert report.found == 3
    assert await vault.contents.power_cut() <= 1, "at most the state of the first one"
    assert await vault.verify(service) == []


async def test_what_a_restore_finds_survives_a_power_cut(service: Service, vault: Vault) -> None:
    """An earlier restore placed it, and died over that; nothing is told to be stored before."""
    objects = await filled(service)
    await vault.create(service)
    async with empty(service) as other:
        for data in (b"small", LARGE):
            content_hash = service.hasher.hash(data)
            await other.blobs[StorageClass.HOT].put(ObjectId.new(), content_hash, data)
        hot = other.blobs[StorageClass.HOT] = Volatile(other.blobs[StorageClass.HOT])
        hot.is_broken = True
        with pytest.raises(Unavailable, match="a sync failed"):
            await vault.restore(other)
        rows = await other.metadata.blobs.scan(after=None, limit=100)
        assert [row.stored_at for row in rows] == [None] * 4
        hot.is_broken = False
        report = await vault.restore(other)
        assert (report.found, report.ended) == (4, True)
        assert await hot.power_cut() == 0
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


# -- what comes back ------------------------------------------------------------------------------


async def test_a_whole_state_comes_back(service: Service, vault: Vault) -> None:
    """Objects, bytes, keys; and the progress adds up to what was announced."""
    objects = await filled(service)
    api_key = await service.metadata.api_keys.create(make_api_key())
    await service.deleted(b"garbage")
    report = await vault.create(service)
    assert report.records == {"api_keys": 1, "blobs": 4, "objects": 5}
    assert (report.copied, report.found) == (3, 0)
    assert vault.seen.expected == vault.seen.done == len(LARGE) + 10
    again = await vault.create(service)
    assert (again.copied, again.bytes_copied, again.found) == (0, 0, 3)
    async with empty(service) as other:
        restored = await vault.restore(other)
        assert (restored.copied, restored.found, restored.continued) == (4, 0, False)
        for each in objects:
            assert await other.metadata.objects.find(each.tenant_id, each.id) == each
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
        assert await other.metadata.api_keys.find(api_key.id) == api_key
        assert (await other.metadata.usage.of(objects[0].tenant_id)).objects == 5


async def test_an_older_state_beside_newer_blobs(service: Service, vault: Vault) -> None:
    """R22: the database is restored to an earlier time, the volume is as it was left."""
    objects = await filled(service)
    await vault.create(service)
    newer = (await service.upload().whole(service.intent("new"), b"newer")).object
    for each in objects:
        await service.metadata.objects.delete_many(each.tenant_id, [each.id])
    await service.collect().run()
    large = service.hasher.hash(LARGE)
    await service.upload().stream(service.intent(), service.body(LARGE))  # placed anew
    async with empty(service, blobs=service.blobs) as other:
        report = await vault.restore(other)
        assert (report.copied, report.found) == (3, 1)
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]
        # What the state does not know is adopted, and collected.
        await other.collect().run()
        await other.collect().run()
        locators = await other.placed()
        assert str(newer.content_hash) not in locators and str(large) in locators
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_the_volume_helps_where_the_backup_is_damaged(service: Service, vault: Vault) -> None:
    """Bytes that the backup lost are looked for in the trash."""
    objects = await filled(service)
    await vault.create(service)
    await vault.lose(b"small", service)
    await vault.damage(LARGE, service, LARGE[:-1] + b"?")
    for store in service.blobs.values():
        names = [placed.locator for placed in await store.scan(after=None, limit=9)]
        await store.remove(names)
    async with empty(service, blobs=service.blobs) as other:
        report = await vault.restore(other)
        assert report.missing == [] and report.found == 3 and report.copied == 1
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_damaged_bytes_of_the_volume_are_replaced(service: Service, vault: Vault) -> None:
    """What is placed is believed only by its hash."""
    objects = await filled(service)
    await vault.create(service)
    hot = service.blobs[StorageClass.HOT]
    await hot.put(objects[0].id, service.hasher.hash(b"small"), b"smelL")
    await hot.put(objects[0].id, service.hasher.hash(LARGE), b"short")
    async with empty(service, blobs=service.blobs) as other:
        report = await vault.restore(other)
        assert (report.copied, report.found) == (2, 2)
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_an_empty_state(service: Service, vault: Vault) -> None:
    """A backup of nothing is one."""
    report = await vault.create(service)
    assert report.records == {}
    assert await vault.verify(service) == []
    async with empty(service) as other:
        assert (await vault.restore(other)).ended


async def test_many_objects_in_several_segments(
    service: Service, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order of records holds across segments."""
    monkeypatch.setattr("juststorage.usecases._backup._format._SEGMENT_RECORDS", 2)
    monkeypatch.setattr("juststorage.usecases._backup._create._PAGE", 2)
    monkeypatch.setattr("juststorage.usecases._backup._restore._PAGE", 3)
    monkeypatch.setattr("juststorage.usecases._backup._verify._PAGE", 1)
    objects = await filled(service)
    await vault.create(service)
    assert len((await vault.newest()).segments) == 5
    assert await vault.verify(service) == []
    async with empty(service) as other:
        await vault.restore(other)
        assert await contents_of(other, objects) == [b"small", b"small", b"small", b"", LARGE]


async def test_unknown_hashers_are_told(service: Service, vault: Vault) -> None:
    """Contents are never taken for whole unchecked."""
    await filled(service)
    await vault.create(service)
    service.hasher = type("Other", (), {"algorithm": "other"})()  # type: ignore[assignment]
    with pytest.raises(JustStorageError, match="no hasher for sha256"):
        await vault.verify(service)
