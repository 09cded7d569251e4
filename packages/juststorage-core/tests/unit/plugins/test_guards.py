"""Guards: what a backend can do wrong, and what core sees of it.

Longer than most: all guards are tried with the same few misbehaving backends.
"""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import anyio
import pytest

from juststorage.domain import ContentHash, ObjectId, StorageClass
from juststorage.errors import BackendError, Corrupt, NotFound, Unavailable, UnsupportedOperation
from juststorage.plugins import BlobCapabilities
from juststorage.plugins._guards import Where, guard, unwrap
from juststorage.ports import (
    Authenticator,
    BlobReader,
    BlobStore,
    Credentials,
    Decision,
    GCPolicy,
    Hasher,
    MetadataStore,
    ObjectRepository,
    ResumableBlob,
    StagedBlob,
)
from juststorage.runtime import open_runtime

CAPABLE = BlobCapabilities(
    local_path=True, read_now=True, trash=True, space=True, identity=True, resumable=True
)
HASH = ContentHash("sha256:" + "0" * 64)
MEMORY = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": []},
}


def where(capabilities: BlobCapabilities = CAPABLE) -> Where:
    """Whose service it is."""
    return Where("blobs.hot", "acme-store", capabilities)


class Raising:
    """Every attribute is an async method that raises."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        async def fail(*args: Any, **kwargs: Any) -> Any:
            raise self.error

        return fail


class Store:
    """A blob store of single answers."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers

    def __getattr__(self, name: str) -> Any:
        async def answer(*args: Any, **kwargs: Any) -> Any:
            return self.answers[name]

        return answer


class Reader:
    size_bytes = 8
    local_path = "/blob"
    from_memory = True
    word: Any = "as it was"

    def __init__(self, pieces: list[bytes | Exception]) -> None:
        self.pieces = pieces
        self.closed = False
        self.close_error: Exception | None = None

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        try:
            for piece in self.pieces:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed = True

    def read_now(self, start: int, length: int) -> Any:
        if isinstance(self.pieces[0], Exception):
            raise self.pieces[0]
        return self.pieces[0]

    def identity(self) -> Any:
        return self.word

    async def aclose(self) -> None:
        if self.close_error:
            raise self.close_error

    async def __aenter__(self) -> Reader:
        return self

    async def __aexit__(self, *args: object) -> None:
        await self.aclose()


class Staged(Reader):
    size_bytes = 0
    lie = 0

    async def write(self, data: bytes | memoryview) -> None:
        self.size_bytes += memoryview(data).nbytes + self.lie

    async def finish(self) -> None:
        pass


def reader(*pieces: bytes | Exception, capabilities: BlobCapabilities = CAPABLE) -> BlobReader:
    """A guarded reader of these pieces."""
    made: Any = guard(Reader(list(pieces)), BlobReader, where(capabilities))
    assert isinstance(made, BlobReader)
    return made


async def read(guarded: BlobReader, length: int = 8) -> bytes:
    """All pieces."""
    return b"".join([piece async for piece in guarded.chunks(0, length)])


class TestMapping:
    async def test_foreign_error_becomes_a_backend_error(self) -> None:
        """What is not of our tree is raised as BackendError, from its cause, without its words."""
        cause = OSError("/secret/path")
        store: Any = guard(Raising(cause), BlobStore, where())
        with pytest.raises(BackendError) as caught:
            await store.stat("x")
        assert str(caught.value) == "blobs.hot: stat failed unexpectedly"
        assert caught.value.__cause__ is cause
        assert (caught.value.plugin, caught.value.distribution) == ("blobs.hot", "acme-store")

    async def test_our_errors_pass_unchanged(self) -> None:
        """An error of our tree is the same object behind the guard."""
        error = NotFound("no such blob")
        store: Any = guard(Raising(error), BlobStore, where())
        with pytest.raises(NotFound) as caught:
            await store.open("x")
        assert caught.value is error

    async def test_cancellation_passes(self) -> None:
        """Cancellation is not an error of the backend."""

        class Waiting(Store):
            async def ping(self) -> None:
                await anyio.sleep_forever()

        store: Any = guard(Waiting(), BlobStore, where())
        with anyio.CancelScope() as scope:
            scope.cancel()
            await store.ping()
        assert scope.cancelled_caught

    @pytest.mark.parametrize("port", [ObjectRepository, MetadataStore, BlobStore, Authenticator])
    async def test_every_method_of_a_port_is_guarded(self, port: type) -> None:
        """No public method of a port gets past its guard."""
        guarded: Any = guard(Raising(OSError()), port, where())
        assert isinstance(guarded, port)
        names = [name for name, _ in inspect.getmembers(port, inspect.iscoroutinefunction)]
        for name in (name for name in names if not name.startswith("_")):
            parameters = inspect.signature(getattr(port, name)).parameters.values()
            args = [() for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD][1:]
            named = {each.name: 1 for each in parameters if each.kind is each.KEYWORD_ONLY}
            with pytest.raises(BackendError, match=f"{name} failed unexpectedly"):
                await getattr(guarded, name)(*args, **named)

    async def test_method_that_is_not_async_is_a_backend_error(self) -> None:
        """A backend that forgot `async` breaks its contract like any other."""

        class Sync:
            def ping(self) -> None: ...

        store: Any = guard(Sync(), BlobStore, where())
        with pytest.raises(BackendError):
            await store.ping()


class TestReader:
    async def test_exact_bytes_pass(self) -> None:
        """Pieces that add up to the length are handed on as they are."""
        assert await read(reader(b"1234", b"", b"5678")) == b"12345678"

    async def test_iterator_need_not_be_a_generator(self) -> None:
        """A store may hand out any asynchronous iterator."""

        class Once:
            left = 1

            def __aiter__(self) -> Once:
                return self

            async def __anext__(self) -> bytes:
                self.left -= 1
                if self.left < 0:
                    raise StopAsyncIteration
                return b"12345678"

        guarded = reader()
        inner: Any = unwrap(guarded)
        inner.chunks = lambda start, length: Once()
        assert await read(guarded) == b"12345678"

    async def test_short_blob_is_corrupt(self) -> None:
        """A reader that ends early is never taken for a short blob."""
        with pytest.raises(Corrupt, match=r"blobs\.hot: the blob has 3 bytes fewer than it should"):
            await read(reader(b"12345"))

    async def test_long_blob_is_corrupt_and_the_excess_is_not_handed_on(self) -> None:
        """No byte beyond the length gets out."""
        pieces: Any = reader(b"1234", b"56789").chunks(0, 8)
        assert await anext(pieces) == b"1234"
        with pytest.raises(Corrupt, match="more than it should"):
            await anext(pieces)

    async def test_error_midway_is_mapped(self) -> None:
        """An exception between two pieces is a BackendError; one of ours passes."""
        with pytest.raises(BackendError, match="chunks failed unexpectedly"):
            await read(reader(b"1234", OSError("no")))
        with pytest.raises(Unavailable):
            await read(reader(b"1234", Unavailable("no")))

    async def test_reader_that_stops_early_closes_the_store_s_iterator(self) -> None:
        """An abandoned read leaves nothing open in the store."""
        guarded = reader(b"1234", b"5678")
        pieces: Any = guarded.chunks(0, 8)
        assert await anext(pieces) == b"1234"
        await pieces.aclose()
        inner: Any = unwrap(guarded)
        assert inner.closed

    async def test_iterator_that_cannot_be_closed_is_logged(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An error while the iterator is closed does not turn into the reader's."""

        class Stubborn:
            def __aiter__(self) -> Stubborn:
                return self

            async def __anext__(self) -> bytes:
                return b"12345678"

            async def aclose(self) -> None:
                raise OSError("no")

        guarded = reader()
        inner: Any = unwrap(guarded)
        inner.chunks = lambda start, length: Stubborn()
        pieces: Any = guarded.chunks(0, 8)
        await anext(pieces)
        await pieces.aclose()
        assert "closing failed" in caplog.text

    @pytest.mark.parametrize("answer", [b"1234567", b"123456789"])
    def test_read_now_of_another_length_is_corrupt(self, answer: bytes) -> None:
        """Bytes at once are all the bytes or none."""
        with pytest.raises(Corrupt, match="instead of 8"):
            reader(answer).read_now(0, 8)

    def test_read_now_maps_and_passes(self) -> None:
        """The right bytes pass; an exception is mapped, or passes if it is ours."""
        assert reader(b"12345678").read_now(0, 8) == b"12345678"
        with pytest.raises(BackendError):
            reader(OSError()).read_now(0, 8)
        with pytest.raises(Unavailable):
            reader(Unavailable("no")).read_now(0, 8)

    def test_undeclared_powers_are_not_used(self) -> None:
        """What is not declared is not offered, even if the reader has it."""
        incapable = reader(b"12345678", capabilities=BlobCapabilities())
        assert incapable.local_path is None
        assert incapable.read_now(0, 8) is None
        assert reader(b"").local_path == "/blob"
        assert incapable.identity() is None and not incapable.from_memory
        assert reader(b"").identity() == "as it was" and reader(b"").from_memory
        assert incapable.size_bytes == 8

    def test_an_identity_is_a_word_or_nothing(self) -> None:
        """Anything else would be compared, and might be equal to anything."""
        guarded = reader(b"")
        inner: Any = unwrap(guarded)
        inner.word = None
        assert guarded.identity() is None
        inner.word = 7
        with pytest.raises(BackendError, match="identity answered with a int"):
            guarded.identity()

    async def test_closing_does_not_raise(self, caplog: pytest.LogCaptureFixture) -> None:
        """An error while closing is logged: it must not turn a finished download into a failure."""
        guarded = reader(b"12345678")
        inner: Any = unwrap(guarded)
        inner.close_error = OSError("no")
        await guarded.aclose()
        async with guarded:
            pass
        assert caplog.text.count("blobs.hot: closing failed") == 2

    async def test_error_of_the_block_passes_through_the_closing(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Leaving by an exception raises that exception."""
        with pytest.raises(KeyError):
            async with reader(b"12345678"):
                raise KeyError

        class Passing(Reader):
            async def __aexit__(self, *args: Any) -> None:
                raise args[1]

        guarded: Any = guard(Passing([]), BlobReader, where())
        with pytest.raises(KeyError):
            async with guarded:
                raise KeyError
        assert caplog.text == ""

    @pytest.mark.parametrize(
        ("error", "seen"), [(OSError(), BackendError), (NotFound("x"), NotFound)]
    )
    async def test_entering_is_guarded(self, error: Exception, seen: type[Exception]) -> None:
        """A reader whose entering fails is mapped like every call."""

        class Locked(Reader):
            async def __aenter__(self) -> Reader:
                raise error

        guarded: Any = guard(Locked([]), BlobReader, where())
        with pytest.raises(seen):
            await guarded.__aenter__()


class TestStaged:
    async def test_sizes_are_compared_in_bytes(self) -> None:
        """The store's count is compared with what was written, whatever the buffer's items are."""
        inner = Staged([])
        staged: Any = guard(inner, StagedBlob, where())
        await staged.write(b"12")
        await staged.write(memoryview(bytearray(8)).cast("I"))
        await staged.finish()
        assert staged.size_bytes == 10

    async def test_store_that_lost_bytes_is_corrupt(self) -> None:
        """A count that differs stops the upload before it is placed."""
        inner = Staged([])
        inner.lie = -1
        staged: Any = guard(inner, StagedBlob, where())
        await staged.write(b"1234")
        with pytest.raises(Corrupt, match="4 bytes were written and 3 are staged"):
            await staged.finish()

    async def test_place_gets_the_store_s_own_object(self) -> None:
        """A store meets what it made, not the guard around it."""
        inner: Any = Staged([])
        met: list[object] = []

        class Placing(Store):
            async def stage(self, upload_id: object) -> Any:
                return inner

            async def place(self, staged: object, content_hash: object) -> str:
                met.append(staged)
                return "there"

        store: Any = guard(Placing(), BlobStore, where())
        staged = await store.stage(ObjectId.new())
        assert isinstance(staged, StagedBlob)
        assert await store.place(staged, HASH) == "there"
        assert met == [inner]
        assert unwrap(staged) is inner

    async def test_what_is_resumed_is_counted_on(self) -> None:
        """Bytes that were there before count, and those that were lost are missed all the same."""

        class Resumed(Staged):
            placed_as = HASH

            async def keep(self) -> None:
                self.kept = True

            async def read(self, start: int, length: int) -> bytes:
                return bytes(length - 1 if start else length)

        inner = Resumed([])
        inner.size_bytes = 7
        store: Any = guard(Store(resume=inner), BlobStore, where())
        resumed = await store.resume(ObjectId.new())
        assert isinstance(resumed, ResumableBlob)
        assert (resumed.size_bytes, resumed.placed_as) == (7, HASH)
        await resumed.write(b"1234")
        await resumed.keep()
        assert inner.kept
        assert await resumed.read(0, 5) == bytes(5)
        with pytest.raises(Corrupt, match="read 4 bytes instead of 5"):
            await resumed.read(1, 5)
        await resumed.finish()
        inner.lie = -1
        await resumed.write(b"5")
        with pytest.raises(Corrupt, match="12 bytes were written and 11 are staged"):
            await resumed.finish()


class TestStore:
    async def test_undeclared_resuming_is_refused(self) -> None:
        """Without the capability its four operations are refused, and no store is asked."""
        store: Any = guard(Raising(AssertionError()), BlobStore, where(BlobCapabilities()))
        for method in ("begin_resumable", "resume", "resumable_bytes", "discard_resumable"):
            with pytest.raises(UnsupportedOperation, match=r"blobs\.hot: .* cannot resume uploads"):
                await getattr(store, method)(ObjectId.new())

    async def test_undeclared_trash_is_refused(self) -> None:
        """Without the capability the operations of the trash are refused, and no store is asked."""
        store: Any = guard(Raising(AssertionError()), BlobStore, where(BlobCapabilities()))
        for call in (
            store.restore("x"),
            store.trash(older_than_s=1, limit=1),
            store.purge([]),
        ):
            with pytest.raises(UnsupportedOperation, match=r"blobs\.hot: this blob store has no"):
                await call
        assert await store.space() is None

    async def test_declared_trash_is_used(self) -> None:
        """With the capability they are handed on."""
        store: Any = guard(Store(restore=1, trash=[], purge=None, space=None), BlobStore, where())
        assert await store.restore("x") is True
        assert await store.trash(older_than_s=1, limit=1) == []
        assert await store.purge([]) is None
        assert await store.space() is None

    async def test_remove_answers_only_for_what_was_asked(self) -> None:
        """A failure for a locator that was not asked for is a breach of contract."""
        store: Any = guard(Store(remove={"b": NotFound("x")}), BlobStore, where())
        with pytest.raises(BackendError, match="answered for what it was not asked to remove"):
            await store.remove(["a"])

    @pytest.mark.parametrize("answer", [None, [], "gone"])
    async def test_remove_must_answer_with_a_mapping(self, answer: object) -> None:
        """An answer that is no mapping must not be taken for a success."""
        store: Any = guard(Store(remove=answer), BlobStore, where())
        with pytest.raises(BackendError, match="remove answered with a"):
            await store.remove(["a"])

    async def test_remove_s_failures_are_of_our_tree(self) -> None:
        """A failure that is not ours becomes a BackendError from it."""
        ours, theirs = Unavailable("x"), OSError("y")
        answer = {"a": ours, "b": theirs, "c": "oops"}
        store: Any = guard(Store(remove=answer), BlobStore, where())
        failures = await store.remove(["a", "b", "c"])
        assert failures["a"] is ours
        assert isinstance(failures["b"], BackendError)
        assert failures["b"].__cause__ is theirs
        assert isinstance(failures["c"], BackendError)


class TestOthers:
    def test_policy_must_decide(self) -> None:
        """An answer that is no decision is refused: `True` must not mean collect."""

        class Policy:
            answer: object = True

            def decide(self, candidate: object, now: datetime) -> object:
                return self.answer

        inner = Policy()
        policy: Any = guard(inner, GCPolicy, where())
        with pytest.raises(BackendError, match="decide answered with a bool"):
            policy.decide(None, datetime.now(UTC))
        inner.answer = Decision.KEEP
        assert policy.decide(None, datetime.now(UTC)) is Decision.KEEP

    async def test_authenticator_must_answer_with_a_principal(self) -> None:
        """An answer that is no principal is refused: `True` must not mean welcome."""
        authenticator: Any = guard(Store(authenticate=True), Authenticator, where())
        with pytest.raises(BackendError, match="authenticate answered with a bool"):
            await authenticator.authenticate(Credentials())
        nobody: Any = guard(Store(authenticate=None), Authenticator, where())
        assert await nobody.authenticate(Credentials()) is None

    def test_hash_state_is_guarded_too(self) -> None:
        """What a hasher hands out is guarded like the hasher."""

        class State:
            def update(self, data: bytes) -> None:
                raise OSError("no")

            def digest(self) -> bytes:
                return b"\0" * 32

        class Own:
            algorithm = "own"

            def new(self) -> State:
                return State()

        hasher: Any = guard(Own(), Hasher, where())
        assert hasher.algorithm == "own"
        state = hasher.new()
        with pytest.raises(BackendError, match="update failed"):
            state.update(b"x")
        assert state.digest() == b"\0" * 32


class TestOpened:
    async def test_every_service_of_a_runtime_is_guarded(self) -> None:
        """What a runtime hands out is guarded, with its parts, and can be unwrapped."""
        async with open_runtime(MEMORY, discover=False) as runtime:
            metadata, store = runtime.metadata, runtime.blobs[StorageClass.HOT]
            services = [
                metadata,
                metadata.objects,
                metadata.blobs,
                metadata.api_keys,
                store,
                runtime.hasher,
                runtime.gc_policy,
            ]
            assert all(unwrap(service) is not service for service in services)
            assert unwrap(metadata).objects is unwrap(metadata.objects)
            assert "guarded" in repr(store)
            upload = ObjectId.new()
            digest = runtime.hasher.hash(b"12345678")
            locator = await store.put(upload, digest, b"12345678")
            async with await store.open(locator) as opened:
                assert await read(opened) == b"12345678"
