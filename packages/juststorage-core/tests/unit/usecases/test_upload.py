"""Uploads through the memory stores: failure paths first."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import msgspec
import pytest

from juststorage.domain import Conditions, ContentHash, ObjectStatus, StorageClass
from juststorage.errors import (
    DigestMismatch,
    Invalid,
    KeyConflict,
    PreconditionFailed,
    StorageFull,
    TooLarge,
    TooSlow,
    Unavailable,
    UnsupportedOperation,
)
from juststorage.ports import Committed, Lease, ObjectRepository, Space, UploadIntent
from juststorage.testing.faults import WrappedBlobStore

ABC = ContentHash("sha256:" + hashlib.sha256(b"abc").hexdigest())
WRONG = ContentHash("sha256:" + "0" * 64)


async def nothing_left(service: Any) -> None:
    """No object is visible, nothing is staged, and no blob has a reference."""
    objects = await service.metadata.objects.scan(after=None, limit=100)
    assert {stored.status for stored in objects} <= {ObjectStatus.DELETED}
    assert await service.staged() == 0
    assert all(b.ref_count == 0 for b in await service.metadata.blobs.scan(after=None, limit=100))


class TestRefusals:
    async def test_a_wrong_digest_stores_nothing(self, service: Any) -> None:
        """A body that has not the announced digest is refused before it is stored."""
        with pytest.raises(DigestMismatch):
            await service.upload().whole(service.intent(), b"abc", expected=[WRONG])
        with pytest.raises(DigestMismatch):
            await service.upload().stream(
                service.intent(), service.body(b"a", b"bc"), expected=[WRONG]
            )
        await nothing_left(service)

    async def test_an_unknown_algorithm_is_refused(self, service: Any) -> None:
        """A digest that no hasher can check is not silently ignored."""
        unknown = ContentHash("blake3:" + "0" * 64)
        with pytest.raises(Invalid, match="blake3"):
            await service.upload().whole(service.intent(), b"abc", expected=[unknown])

    async def test_a_class_that_is_not_configured_is_refused(self, service: Any) -> None:
        """Without a cold store, cold uploads are the client's mistake."""
        del service.blobs[StorageClass.COLD]
        with pytest.raises(Invalid, match="cold"):
            await service.upload().whole(service.intent(storage_class=StorageClass.COLD), b"abc")

    async def test_the_byte_limit_counts(self, service: Any) -> None:
        """A body over the limit is refused by its size, announced or not."""
        service.limits = msgspec.structs.replace(service.limits, bytes_max=4)
        with pytest.raises(TooLarge):
            await service.upload().whole(service.intent(), b"12345")
        with pytest.raises(TooLarge):
            await service.upload().stream(service.intent(), service.body(b"123", b"45"))
        with pytest.raises(TooLarge):
            await service.upload().stream(service.intent(), service.body(), size_bytes=5)
        await nothing_left(service)

    async def test_a_held_key_is_refused_before_the_body(self, service: Any) -> None:
        """Not one byte of the body is asked for when the key is held."""
        await service.upload().whole(service.intent("k"), b"abc")

        async def untouched() -> AsyncIterator[bytes]:
            raise AssertionError("the body was read")
            yield b""

        with pytest.raises(KeyConflict) as caught:
            await service.upload().stream(service.intent("k"), untouched())
        assert caught.value.fields["content_hash"] == ABC
        only_if_absent = service.intent(
            "k", replace=True, conditions=Conditions(if_none_match=frozenset())
        )
        with pytest.raises(PreconditionFailed):
            await service.upload().stream(only_if_absent, untouched())

    async def test_a_client_that_goes_leaves_nothing(self, service: Any) -> None:
        """What the body raises ends the upload and comes out as it is."""

        async def broken() -> AsyncIterator[bytes]:
            yield b"a" * 300_000
            raise ConnectionResetError

        with pytest.raises(ConnectionResetError):
            await service.upload().stream(service.intent("k"), broken())
        await nothing_left(service)
        await service.upload().whole(service.intent("k"), b"abc")

    async def test_a_body_that_stands_still_is_too_slow(self, service: Any) -> None:
        """A client that sends nothing for the idle time is refused."""
        service.limits = msgspec.structs.replace(service.limits, idle_s=0.01)

        async def stuck() -> AsyncIterator[bytes]:
            yield b"a"
            await anyio.sleep_forever()

        with pytest.raises(TooSlow):
            await service.upload().stream(service.intent(), stuck())
        await nothing_left(service)

    async def test_each_wait_is_counted_from_its_own_beginning(self, service: Any) -> None:
        """Many short waits are no long one, and the long one after them is."""
        service.limits = msgspec.structs.replace(service.limits, idle_s=0.2)
        sent = 0

        async def hesitant() -> AsyncIterator[bytes]:
            nonlocal sent
            for _ in range(6):
                await anyio.sleep(0.05)
                yield b"a"
                sent += 1
            await anyio.sleep_forever()

        with pytest.raises(TooSlow, match="no byte arrived"):
            await service.upload().stream(service.intent(), hesitant())
        assert sent == 6
        await nothing_left(service)

    async def test_a_body_that_creeps_is_too_slow(self, service: Any) -> None:
        """A client below the minimum rate is refused once the idle time is over."""

        async def creeping() -> AsyncIterator[bytes]:
            while True:
                await service.clock.advance(10)
                yield b"a"

        with pytest.raises(TooSlow, match="slower"):
            await service.upload().stream(service.intent(), creeping())
        await nothing_left(service)


class TestStoring:
    @pytest.mark.parametrize("chunks", [[], [b"abc"], [b"a", b"", b"bc"], [b"x" * 700_000] * 7])
    async def test_a_streamed_body_reads_back(self, service: Any, chunks: list[bytes]) -> None:
        """Any division into chunks gives the same bytes and the hash of all of them."""
        done = await service.upload().stream(service.intent(), service.body(*chunks))
        data = b"".join(chunks)
        assert done.object.content_hash == "sha256:" + hashlib.sha256(data).hexdigest()
        assert done.object.size_bytes == len(data)
        assert await service.content(done.object) == data

    @pytest.mark.parametrize("size", [0, 3, 64 * 1024, 64 * 1024 + 1])
    async def test_a_whole_body_reads_back(self, service: Any, size: int) -> None:
        """A body in memory is stored the same way, empty ones too."""
        data = bytes(size)
        digest = ContentHash("sha256:" + hashlib.sha256(data).hexdigest())
        done = await service.upload().whole(service.intent(), data, expected=[digest])
        assert done.object.content_hash == digest
        assert await service.content(done.object) == data

    async def test_equal_bytes_are_placed_once(self, service: Any) -> None:
        """A second upload of equal bytes counts on the blob and places nothing."""
        first = await service.upload().whole(service.intent(), b"abc")
        second = await service.upload().stream(service.intent(), service.body(b"abc"))
        assert first.object.locator == second.object.locator
        assert len(await service.placed()) == 1
        [blob] = await service.metadata.blobs.scan(after=None, limit=10)
        assert blob.ref_count == 2
        assert await service.staged() == 0

    async def test_a_replacement_takes_the_key(self, service: Any) -> None:
        """A PUT hides the old object in the transaction that shows the new one."""
        old = await service.upload().whole(service.intent("k"), b"old")
        new = await service.upload().whole(service.intent("k", replace=True), b"new")
        assert new.replaced == old.object.id
        assert await service.metadata.objects.find(old.object.tenant_id, old.object.id) is None

    async def test_a_long_upload_renews_its_lease(self, service: Any) -> None:
        """An upload that lasts longer than its lease lives on while bytes arrive."""

        async def slow() -> AsyncIterator[bytes]:
            for _ in range(8):
                await service.clock.advance(250)
                yield b"x" * 100_000

        done = await service.upload().stream(service.intent(), slow())
        assert done.object.status is ObjectStatus.COMMITTED

    async def test_cancelled_after_its_reservation_it_commits(self, service: Any) -> None:
        """A small upload is past the point of no return once its transaction began."""
        with anyio.CancelScope() as scope:
            scope.cancel()
            await service.upload().whole(service.intent("k"), b"abc")
        objects = await service.metadata.objects.scan(after=None, limit=10)
        assert [stored.status for stored in objects] == [ObjectStatus.COMMITTED]


class _AnswerLost:
    """Objects whose `commit` and `begin_reserved` work, and then lose their answer."""

    def __init__(self, inner: ObjectRepository) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def commit(self, lease: Lease, locator: str) -> Committed:
        await self._inner.commit(lease, locator)
        raise Unavailable("the connection was cut")

    async def begin_reserved(self, intent: UploadIntent, content: Any, *, lease_s: float) -> Any:
        outcome = await self._inner.begin_reserved(intent, content, lease_s=lease_s)
        if isinstance(outcome, Committed):
            raise Unavailable("the connection was cut")
        return outcome


async def test_a_lost_answer_is_looked_up(service: Any) -> None:
    """When nobody knows whether the commit happened, the upload looks and tells the truth (R17)."""
    service.metadata.objects = _AnswerLost(service.metadata.objects)
    for _ in range(2):  # new content commits, stored content is committed at once: both answers
        done = await service.upload().whole(service.intent(), b"abc")
        assert done.object.status is ObjectStatus.COMMITTED
    done = await service.upload().stream(service.intent(), service.body(b"other"))
    assert await service.content(done.object) == b"other"


async def test_a_commit_that_did_not_happen_is_reported(service: Any) -> None:
    """A lost database is the caller's to know, and leaves nothing behind once it is back."""

    class Lost(_AnswerLost):
        async def commit(self, lease: Lease, locator: str) -> Committed:
            raise Unavailable("the database is gone")

    service.metadata.objects = Lost(service.metadata.objects)
    with pytest.raises(Unavailable):
        await service.upload().whole(service.intent("k"), b"abc")
    await nothing_left(service)


class _FullStore(WrappedBlobStore):
    """A store with so much room; None for one that cannot tell and takes nothing."""

    free_bytes: int | None = 0
    puts = 0

    async def on(self, method: str) -> None:
        if method == "put":
            self.puts += 1
            if not self.free_bytes:
                raise StorageFull("no room")

    async def space(self) -> Space | None:
        if self.free_bytes is None:
            raise UnsupportedOperation("it cannot tell")
        return Space(total_bytes=1000, free_bytes=self.free_bytes)


class TestAFullStore:
    @pytest.fixture
    def store(self, service: Any) -> _FullStore:
        store = _FullStore(service.blobs[StorageClass.HOT])
        service.blobs[StorageClass.HOT] = store
        return store

    async def rows(self, service: Any) -> int:
        return len(await service.metadata.objects.scan(after=None, limit=1000))

    async def test_refusals_leave_one_row(self, service: Any, store: _FullStore) -> None:
        """The first small body finds out; those that follow have nothing written for them."""
        upload = service.upload()
        for number in range(5):
            with pytest.raises(StorageFull):
                await upload.whole(service.intent(), b"%d" % number)
        assert (await self.rows(service), store.puts) == (1, 1)
        await nothing_left(service)

    @pytest.mark.parametrize("size", [None, 0, 1])
    async def test_streams_leave_none(
        self, service: Any, store: _FullStore, size: int | None
    ) -> None:
        """Whatever they say of their size, before the first byte is asked for."""

        async def untouched() -> AsyncIterator[bytes]:
            raise AssertionError("the body was read")
            yield b""

        with pytest.raises(StorageFull):
            await service.upload().stream(service.intent(), untouched(), size_bytes=size)
        assert await self.rows(service) == 0

    async def test_there_is_room_again(self, service: Any, store: _FullStore) -> None:
        """The next upload that fits is taken; it needs no restart, and no room for others."""
        upload = service.upload()
        with pytest.raises(StorageFull):
            await upload.whole(service.intent(), b"abc")
        store.free_bytes = 3
        with pytest.raises(StorageFull):
            await upload.whole(service.intent(), b"abcd")
        done = await upload.whole(service.intent(), b"abc")
        assert await service.content(done.object) == b"abc"

    async def test_what_is_stored_needs_no_room(self, service: Any, store: _FullStore) -> None:
        """Content that is there already is taken on a store that is known to be full."""
        upload = service.upload()
        store.free_bytes = 1000
        await upload.whole(service.intent(), b"abc")
        store.free_bytes = 0
        with pytest.raises(StorageFull):
            await upload.whole(service.intent(), b"new")
        assert (await upload.whole(service.intent(), b"abc")).object.content_hash == ABC
        with pytest.raises(StorageFull):
            await upload.whole(service.intent(), b"new")
        assert store.puts == 2

    async def test_a_store_that_cannot_tell_is_asked(self, service: Any, store: _FullStore) -> None:
        """Each upload finds out for itself, as ever."""
        store.free_bytes = None
        upload = service.upload()
        for _ in range(3):
            with pytest.raises(StorageFull):
                await upload.whole(service.intent(), b"abc")
        assert store.puts == 3

    async def test_the_first_failure_is_told(self, service: Any) -> None:
        """Where there is no room to give an upload back either, its lease runs out."""

        class Full(_AnswerLost):
            async def commit(self, lease: Lease, locator: str) -> Committed:
                raise Unavailable("no answer")

            async def find(self, tenant_id: Any, object_id: Any) -> Any:
                raise Unavailable("no answer to that")

            async def abort(self, lease: Lease) -> None:
                raise StorageFull("no room")

        service.metadata.objects = Full(service.metadata.objects)
        with pytest.raises(Unavailable, match="no answer to that"):
            await service.upload().whole(service.intent(), b"abc")
