"""The use case in several hands, and calls that go wrong on their way."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from juststorage.domain import ContentHash, ObjectStatus, StorageClass
from juststorage.errors import Unavailable
from juststorage.ports import Committed, ObjectRepository
from juststorage.testing.faults import FailingBlobStore
from juststorage.usecases import ResumeUpload, UploadTicket

DATA = b"0123456789"
HASH = ContentHash("sha256:" + hashlib.sha256(DATA).hexdigest())


class Resuming:
    """Uploads of `DATA` in several requests, through the memory stores."""

    def __init__(self, service: Any) -> None:
        self._service = service

    def case(self, objects: ObjectRepository | None = None, **changes: Any) -> ResumeUpload:
        """The use case, as another process would make it."""
        service = self._service
        metadata = copy.copy(service.metadata)
        metadata.objects = objects or metadata.objects
        resumed: ResumeUpload = service.resume(metadata, **changes)
        return resumed

    async def begun(self, *, key: str | None = "k", **how: Any) -> UploadTicket:
        """The ticket of an upload of `DATA`."""
        expected = how.pop("expected", ())
        case = self.case()
        intent = self._service.intent(key, replace=key is not None, **how)
        return case.ticket(await case.begin(intent, len(DATA), expected=expected))

    async def left_nothing(self) -> None:
        """No object lives, nothing is staged, and no blob has a reference."""
        metadata = self._service.metadata
        objects = await metadata.objects.scan(after=None, limit=100)
        assert {stored.status for stored in objects} <= {ObjectStatus.DELETED}
        assert await self._service.staged() == 0
        assert all(b.ref_count == 0 for b in await metadata.blobs.scan(after=None, limit=100))

    async def stored(self, committed: Committed | None) -> None:
        """It is `DATA`, readable, and nothing else is left."""
        assert committed is not None
        assert committed.object.content_hash == HASH
        assert committed.object.size_bytes == len(DATA)
        # An answer that was kept does not say where the bytes are.
        found = await self._service.metadata.objects.find(
            committed.object.tenant_id, committed.object.id
        )
        assert await self._service.content(found) == DATA
        assert await self._service.staged() == 0

    async def same_answer(self, ticket: UploadTicket, first: Committed) -> None:
        """Asked for, and sent again without a byte, the end of it is answered as it was."""
        case = self.case()
        for again in (
            await case.progress(ticket),
            await case.append(ticket, len(DATA), self._service.body()),
        ):
            assert again.offset == len(DATA)
            assert again.committed is not None and again.committed.is_repeated
            assert again.committed.object.id == first.object.id

    async def not_placed(self, ticket: UploadTicket) -> None:
        """All of it is sent while the volume is away; then the volume is there again."""
        blobs = self._service.blobs
        inner = blobs[StorageClass.HOT]
        blobs[StorageClass.HOT] = FailingBlobStore(inner, methods={"place"})
        with pytest.raises(Unavailable):
            await self.case().append(ticket, 0, self._service.body(DATA))
        blobs[StorageClass.HOT] = inner

    @staticmethod
    async def broken(*chunks: bytes) -> AsyncIterator[bytes]:
        """A body whose client goes away."""
        for chunk in chunks:
            yield chunk
        raise ConnectionResetError

    def losing(self, methods: set[str], *, done: bool) -> None:
        """The answers of these methods are lost from now on, once each."""
        metadata = self._service.metadata
        metadata.objects = _Losing(metadata.objects, methods, done=done)

    def before(self, method: str, happen: Callable[[], Awaitable[None]]) -> None:
        """Something happens before this method is called, once."""
        metadata = self._service.metadata
        metadata.objects = _Before(metadata.objects, method, happen)


@pytest.fixture
def resuming(service: Any) -> Resuming:
    """Uploads in several requests to the service."""
    return Resuming(service)


class _Losing(ObjectRepository):
    """Makes the call, and loses its answer: once, for each method that is named."""

    def __init__(self, inner: ObjectRepository, methods: set[str], *, done: bool) -> None:
        self._inner = inner
        self._methods = methods
        self._done = done

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        found = getattr(self._inner, name)
        if name not in self._methods:
            return found
        self._methods.discard(name)

        async def lose(*args: Any, **kwargs: Any) -> Any:
            if self._done:
                await found(*args, **kwargs)
            raise Unavailable("the answer was lost")

        return lose


_Losing.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]


class _Before(ObjectRepository):
    """Has something happen before a method is called, once."""

    def __init__(
        self, inner: ObjectRepository, method: str, happen: Callable[[], Awaitable[None]]
    ) -> None:
        self._inner = inner
        self._method = method
        self._happen = happen

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return object.__getattribute__(self, name)
        found = getattr(self._inner, name)
        if name != self._method:
            return found
        self._method = ""

        async def call(*args: Any, **kwargs: Any) -> Any:
            await self._happen()
            return await found(*args, **kwargs)

        return call


_Before.__abstractmethods__ = frozenset()  # type: ignore[attr-defined]
