"""Changing, moving, copying and deleting through the memory stores: failure paths first."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import (
    BULK_IDS_MAX,
    UNCHANGED,
    BlobKey,
    Change,
    Conditions,
    ContentHash,
    IdempotencyKey,
    Namespace,
    NamespacePattern,
    ObjectId,
    ObjectKey,
    ObjectStatus,
    StorageClass,
    TenantId,
)
from juststorage.errors import (
    BlobMissing,
    Corrupt,
    IdempotencyInFlight,
    IdempotencyMismatch,
    Invalid,
    InvalidMetadata,
    KeyConflict,
    NotFound,
    PreconditionFailed,
    StorageFull,
    Unavailable,
)
from juststorage.ports import Space
from juststorage.testing.faults import (
    CorruptingBlobStore,
    FailingBlobStore,
    PausingBlobStore,
    WrappedBlobStore,
)
from juststorage.usecases import (
    BlobCopier,
    ChangeObject,
    CopyObject,
    CopyTarget,
    DeleteObject,
    MeasureUsage,
)

TENANT = TenantId("acme")
HOT, COLD = StorageClass.HOT, StorageClass.COLD
WRONG = Conditions(if_match=frozenset({ContentHash("sha256:" + "0" * 64)}))
DATA = b"content"


class Full(WrappedBlobStore):
    """A store with three bytes of room."""

    async def space(self) -> Space:
        return Space(total_bytes=100, free_bytes=3)


def copier(service: Any) -> BlobCopier:
    """How bytes are copied."""
    return BlobCopier(
        service.metadata,
        service.blobs,
        service.hashers,
        clock=service.clock,
        limits=service.limits,
    )


async def stored(service: Any, key: str | None = None, data: bytes = DATA) -> Any:
    """An object with these bytes."""
    return (await service.upload().whole(service.intent(key), data)).object


async def change(service: Any, object_id: ObjectId, what: Change = UNCHANGED, **more: Any) -> Any:
    """PATCH."""
    cases = ChangeObject(service.metadata, copier(service))
    return await cases.by_id(TENANT, object_id, what, **more)


async def copy(service: Any, object_id: ObjectId, **more: Any) -> Any:
    """Copy; target fields are those of `CopyTarget`."""
    named = {"namespace", "key", "storage_class"} & more.keys()
    target = CopyTarget(**{name: more.pop(name) for name in named})
    cases = CopyObject(service.metadata, copier(service))
    return (await cases.by_id(TENANT, object_id, target, **more)).object


async def nothing_left(service: Any, *ids: ObjectId) -> None:
    """Only these objects are alive, and nothing is staged."""
    found = await service.metadata.objects.scan(after=None, limit=100)
    dead = {ObjectStatus.DELETED, ObjectStatus.DELETING}
    assert {each.id for each in found if each.status not in dead} == set(ids)
    assert await service.staged() == 0


class TestChanging:
    async def test_refusals_change_nothing(self, service: Any) -> None:
        """An absent object, a wrong tag, a held key, bad metadata, a class that is not offered."""
        one, held = await stored(service, "one"), await stored(service, "held", b"other")
        for what, more, error in (
            (UNCHANGED, {"conditions": WRONG}, PreconditionFailed),
            (Change(key=ObjectKey("held")), {}, KeyConflict),
            (Change(key=ObjectKey("held")), {"storage_class": COLD}, KeyConflict),
            (Change(merge_metadata={"a": "x" * 20_000}), {"storage_class": COLD}, InvalidMetadata),
            (UNCHANGED, {"namespaces": [NamespacePattern("docs")]}, NotFound),
        ):
            with pytest.raises(error):
                await change(service, one.id, what, **more)
        with pytest.raises(NotFound):
            await change(service, ObjectId.new())
        del service.blobs[COLD]
        with pytest.raises(Invalid, match="cold"):
            await change(service, one.id, storage_class=COLD)
        assert await service.metadata.objects.find(TENANT, one.id) == one
        await nothing_left(service, one.id, held.id)

    async def test_a_change_of_nothing(self, service: Any) -> None:
        """Not even the time of the last change."""
        one = await stored(service)
        await service.clock.advance(5)
        assert await change(service, one.id) == one
        assert await change(service, one.id, storage_class=HOT) == one
        changed = await change(service, one.id, Change(content_type="x/y"))
        assert changed.updated_at > one.updated_at

    async def test_a_lower_limit_on_metadata(self, service: Any) -> None:
        """What would go over it is refused; what is over it already may shrink, or stay."""
        one = await stored(service)
        free = ChangeObject(service.metadata, copier(service))
        bound = ChangeObject(service.metadata, copier(service), metadata_bytes_max=20)
        fits, over = ({"a": "x" * count} for count in (12, 13))
        await bound.by_id(TENANT, one.id, Change(merge_metadata=fits))
        for patch in (over, {"b": 1}):
            with pytest.raises(InvalidMetadata, match="20 bytes"):
                await bound.by_id(TENANT, one.id, Change(merge_metadata=patch))
        await free.by_id(TENANT, one.id, Change(merge_metadata={"a": "x" * 50}))
        await bound.by_id(TENANT, one.id, Change(content_type="x/y"))
        await bound.by_id(TENANT, one.id, Change(merge_metadata={"a": "x" * 40}))
        with pytest.raises(InvalidMetadata):
            await bound.by_id(TENANT, one.id, Change(merge_metadata={"a": "x" * 41}))


class TestMoving:
    @pytest.mark.parametrize("method", ["stage", "place", "open"])
    async def test_a_store_that_fails(self, service: Any, method: str) -> None:
        """The object is as it was, and the upload that should have moved it has ended."""
        one = await stored(service)
        broken = HOT if method == "open" else COLD
        service.blobs[broken] = FailingBlobStore(service.blobs[broken], methods={method})
        with pytest.raises(Unavailable):
            await change(service, one.id, storage_class=COLD)
        assert await service.metadata.objects.find(TENANT, one.id) == one
        await nothing_left(service, one.id)

    async def test_damage_is_not_copied(self, service: Any) -> None:
        """Bytes that are not what their hash says stay where they are, and are distrusted."""
        one = await stored(service, data=bytes(200_000))
        service.blobs[HOT] = CorruptingBlobStore(service.blobs[HOT], at=150_000)
        with pytest.raises(Corrupt):
            await change(service, one.id, storage_class=COLD)
        with pytest.raises(Corrupt):
            await copy(service, one.id, storage_class=COLD)
        assert (await service.metadata.objects.find(TENANT, one.id)).storage_class is HOT
        key = BlobKey(one.content_hash, HOT)
        assert (await service.metadata.blobs.find([key]))[key].stored_at is None
        await nothing_left(service, one.id)

    async def test_no_room(self, service: Any) -> None:
        """Told before a byte is read; in the class that it has there is no need of room."""
        one = await stored(service)
        service.blobs[COLD] = Full(service.blobs[COLD])
        for act in (change, copy):
            with pytest.raises(StorageFull):
                await act(service, one.id, storage_class=COLD)
        await nothing_left(service, one.id)

    async def test_bytes_that_cannot_be_read(self, service: Any) -> None:
        """They are not copied, and the next upload of them places them again."""

        class Unreadable(WrappedBlobStore):
            async def open(self, locator: Any) -> Any:
                reader = await super().open(locator)

                async def chunks(start: int, length: int) -> Any:
                    yield b"x"
                    raise Corrupt("the blob ended early")

                reader.chunks = chunks
                return reader

        one = await stored(service)
        service.blobs[HOT] = Unreadable(service.blobs[HOT])
        with pytest.raises(Corrupt):
            await copy(service, one.id, storage_class=COLD)
        key = BlobKey(one.content_hash, HOT)
        assert (await service.metadata.blobs.find([key]))[key].stored_at is None

    async def test_an_unknown_hash(self, service: Any) -> None:
        """What cannot be verified is not moved."""
        one = await stored(service)
        cases = ChangeObject(
            service.metadata,
            BlobCopier(
                service.metadata, service.blobs, {}, clock=service.clock, limits=service.limits
            ),
        )
        with pytest.raises(Unavailable, match="sha256"):
            await cases.by_id(TENANT, one.id, UNCHANGED, storage_class=COLD)
        await nothing_left(service, one.id)

    async def test_cancelled_while_it_copies(self, service: Any) -> None:
        """Whoever has gone leaves the object as it was, and nothing else."""
        one = await stored(service)
        cold = PausingBlobStore(service.blobs[COLD], {"place"})
        service.blobs[COLD] = cold
        async with anyio.create_task_group() as tasks:

            async def move() -> None:
                await change(service, one.id, storage_class=COLD)

            tasks.start_soon(move)
            await cold.reached("place")
            tasks.cancel_scope.cancel()
        assert await service.metadata.objects.find(TENANT, one.id) == one
        await nothing_left(service, one.id)

    async def test_lost_bytes(self, service: Any) -> None:
        """There is nothing to move."""
        one = await stored(service)
        await service.blobs[HOT].remove([one.locator])
        await service.blobs[HOT].purge(await service.blobs[HOT].trash(older_than_s=0, limit=9))
        with pytest.raises(BlobMissing):
            await change(service, one.id, storage_class=COLD)
        await nothing_left(service, one.id)

    async def test_there_and_back(self, service: Any) -> None:
        """With other changes at once; empty objects too."""
        for data in (DATA, b"", bytes(300_000)):
            one = await stored(service, data=data)
            there = Change(key=ObjectKey(f"of {len(data)}"), merge_metadata={"n": 1})
            moved = await change(service, one.id, there, storage_class=COLD)
            assert (moved.storage_class, moved.key) == (COLD, f"of {len(data)}")
            assert moved.metadata.value == {"n": 1}
            assert await service.content(moved) == data
            back = await change(service, one.id, storage_class=HOT)
            assert await service.content(back) == data


class TestCopying:
    async def test_refusals(self, service: Any) -> None:
        """An absent source, a held key, a failed condition, a class that is not offered."""
        one = await stored(service, "one")
        with pytest.raises(NotFound):
            await copy(service, ObjectId.new())
        with pytest.raises(NotFound):
            await copy(service, one.id, namespaces=[NamespacePattern("docs*")])
        with pytest.raises(KeyConflict):
            await copy(service, one.id, key=ObjectKey("one"))
        create = Conditions(if_none_match=frozenset())
        with pytest.raises(PreconditionFailed):
            await copy(service, one.id, key=ObjectKey("one"), conditions=create)
        del service.blobs[COLD]
        with pytest.raises(Invalid, match="cold"):
            await copy(service, one.id, storage_class=COLD)
        await nothing_left(service, one.id)

    async def test_a_copy(self, service: Any) -> None:
        """Type and metadata come along, the key does not; each part can be another."""
        one = await stored(service, "one")
        await change(service, one.id, Change(content_type="x/y", merge_metadata={"a": 1}))
        same = await copy(service, one.id)
        assert (same.key, same.namespace, same.storage_class) == (None, "models", HOT)
        assert (same.content_type, same.metadata.value) == ("x/y", {"a": 1})
        other = await copy(
            service, one.id, namespace=Namespace("docs"), key=ObjectKey("k"), storage_class=COLD
        )
        assert (other.key, other.namespace, other.storage_class) == ("k", "docs", COLD)
        for each in (same, other):
            assert await service.content(each) == DATA
        usage = await MeasureUsage(service.metadata).of(TENANT)
        assert (usage.objects, usage.physical_bytes) == (3, 2 * len(DATA))

    async def test_a_distrusted_blob_is_copied_onto_itself(self, service: Any) -> None:
        """Nobody has confirmed its bytes, so they are read, verified and placed again."""
        one = await stored(service)
        key = BlobKey(one.content_hash, HOT)
        await service.metadata.blobs.distrust(key)
        copied = await copy(service, one.id)
        assert await service.content(copied) == DATA
        assert (await service.metadata.blobs.find([key]))[key].stored_at is not None


class TestDeletingMany:
    async def test_each_id_once_in_order(self, service: Any) -> None:
        """What is not there is missing; none is fine, more than a thousand are not."""
        delete = DeleteObject(service.metadata)
        ids = [(await stored(service)).id for _ in range(3)]
        absent = ObjectId.new()
        result = await delete.many(TENANT, [ids[2], absent, ids[0], ids[2]])
        assert (result.deleted, result.missing) == ([ids[2], ids[0]], [absent])
        result = await delete.many(TENANT, [])
        assert (result.deleted, result.missing) == ([], [])
        with pytest.raises(Invalid):
            await delete.many(TENANT, [absent] * (BULK_IDS_MAX + 1))
        await nothing_left(service, ids[1])


def keyed(service: Any, request: str = "a request", text: str = "key") -> Any:
    """An intent with an idempotency key."""
    key = IdempotencyKey(text=text, request=request, ttl_s=60)
    return msgspec.structs.replace(service.intent(), idempotency=key)


class TestIdempotency:
    @pytest.mark.parametrize("way", ["whole", "stream"])
    async def test_uploads(self, service: Any, way: str) -> None:
        """The first answer for the same content, a refusal for other content or another request."""

        async def send(data: bytes, request: str = "a request") -> Any:
            intent = keyed(service, request)
            if way == "whole":
                return await service.upload().whole(intent, data)
            return await service.upload().stream(intent, service.body(data[:3], data[3:]))

        first = await send(DATA)
        again = await send(DATA)
        assert again.object.id == first.object.id
        with pytest.raises(IdempotencyMismatch, match="content"):
            await send(b"other content")
        with pytest.raises(IdempotencyMismatch, match="request"):
            await send(DATA, "another request")
        await nothing_left(service, first.object.id)
        await service.clock.advance(61)
        later = await send(DATA)
        assert later.object.id != first.object.id
        await service.clock.advance(61)
        report = await service.collect().run()
        assert report.errors == 0
        assert await service.metadata.idempotency.find(TENANT, "key") is None

    async def test_one_that_is_under_way(self, service: Any) -> None:
        """Nobody's body is asked for while another one's is coming."""
        lease = await service.metadata.objects.begin(keyed(service), lease_s=60)
        with pytest.raises(IdempotencyInFlight):
            await service.upload().whole(keyed(service), DATA)
        with pytest.raises(IdempotencyInFlight):
            await service.upload().stream(keyed(service), service.body(DATA))
        await service.metadata.objects.abort(lease)
        await service.upload().whole(keyed(service), DATA)

    async def test_copies(self, service: Any) -> None:
        """The first copy again, though its source has gone; unseen by who may not see it."""
        one = await stored(service)
        key = IdempotencyKey(text="copy", request="r", ttl_s=60)
        first = await copy(service, one.id, idempotency=key)
        await DeleteObject(service.metadata).by_id(TENANT, one.id)
        assert (await copy(service, one.id, idempotency=key)).id == first.id
        with pytest.raises(NotFound):
            await copy(service, one.id, idempotency=key, namespaces=[NamespacePattern("docs")])

    @pytest.mark.parametrize("text", ["", "a b", "x" * 256, "ä", "\x7f"])
    def test_what_is_no_key(self, text: str) -> None:
        """1 to 255 visible ASCII characters."""
        with pytest.raises(Invalid):
            IdempotencyKey(text=text, request="r", ttl_s=60)
