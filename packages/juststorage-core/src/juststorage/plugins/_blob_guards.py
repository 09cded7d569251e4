"""Guards of what keeps bytes: they count, compare, and refuse what is not declared."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import Corrupt, JustStorageError, UnsupportedOperation
from juststorage.plugins._guarding import Closing, Guard, Where, guard, unwrap
from juststorage.ports import (
    BlobReader,
    BlobStore,
    ResumableBlob,
    Space,
    StagedBlob,
    TrashedBlob,
)

__all__ = ["BlobStoreGuard"]


class _StagedBlobGuard(Closing, StagedBlob):
    """Counts what is written, and believes the count."""

    _written = 0

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        size_bytes = data.nbytes if isinstance(data, memoryview) else len(data)
        await self._call("write", data)
        self._written += size_bytes

    async def write_parts(self, parts: Sequence[bytes]) -> None:
        await self._call("write_parts", parts)
        self._written += sum(map(len, parts))

    async def finish(self) -> None:
        await self._call("finish")
        if self._inner.size_bytes != self._written:
            raise Corrupt(
                f"{self._where.instance}: {self._written} bytes were written"
                f" and {self._inner.size_bytes} are staged"
            )


class _ResumableBlobGuard(_StagedBlobGuard, ResumableBlob):
    """Counts on from what was there when it was opened."""

    def __init__(self, inner: Any, where: Where) -> None:
        super().__init__(inner, where)
        self._written = inner.size_bytes

    async def read(self, start: int, length: int) -> bytes:
        data = cast("bytes", await self._call("read", start, length))
        if len(data) != length:
            raise Corrupt(f"{self._where.instance}: read {len(data)} bytes instead of {length}")
        return data


class _BlobReaderGuard(Closing, BlobReader):
    """Counts what is read; asks for nothing that is not declared."""

    @property
    def local_path(self) -> str | None:  # type: ignore[override]
        path: str | None = self._inner.local_path
        return path if self._where.capabilities.local_path else None

    @property
    def from_memory(self) -> bool:  # type: ignore[override]
        return self._where.capabilities.identity and bool(self._inner.from_memory)

    def identity(self) -> str | None:
        if not self._where.capabilities.identity:
            return None
        identity = self._call_now("identity")
        if identity is not None and not isinstance(identity, str):
            raise self._where.broken("identity", f"answered with a {type(identity).__name__}")
        return identity

    async def chunks(self, start: int, length: int) -> AsyncIterator[bytes]:
        missing = length
        pieces: Any = self._call_now("chunks", start, length)
        try:
            async for piece in pieces:
                missing -= len(piece)
                if missing < 0:
                    break
                yield piece
        except JustStorageError:
            raise
        except Exception as error:
            raise self._where.broken("chunks") from error
        finally:
            # A reader who stops early must not leave the store's generator to the collector.
            if hasattr(pieces, "aclose"):
                try:
                    await pieces.aclose()
                except Exception as error:  # noqa: BLE001  as in aclose
                    self._report(error)
        if missing:
            word = "more" if missing < 0 else f"{missing} bytes fewer"
            raise Corrupt(f"{self._where.instance}: the blob has {word} than it should")

    def read_now(self, start: int, length: int) -> bytes | None:
        if not self._where.capabilities.read_now:
            return None
        data: bytes | None = self._call_now("read_now", start, length)
        if data is not None and len(data) != length:
            raise Corrupt(f"{self._where.instance}: read {len(data)} bytes instead of {length}")
        return data


class BlobStoreGuard(Guard, BlobStore):
    """Refuses what the store does not declare, and checks what it answers."""

    async def place(self, staged: StagedBlob, content_hash: ContentHash) -> Locator:
        return cast("Locator", await self._call("place", unwrap(staged), content_hash))

    async def begin_resumable(self, upload_id: ObjectId) -> None:
        await self._resuming("begin_resumable", upload_id)

    async def resume(self, upload_id: ObjectId) -> ResumableBlob:
        resumed = await self._resuming("resume", upload_id)
        return cast("ResumableBlob", guard(resumed, ResumableBlob, self._where))

    async def resumable_bytes(self, upload_id: ObjectId) -> int | None:
        return cast("int | None", await self._resuming("resumable_bytes", upload_id))

    async def discard_resumable(self, upload_id: ObjectId) -> None:
        await self._resuming("discard_resumable", upload_id)

    async def _resuming(self, method: str, upload_id: ObjectId) -> Any:
        if not self._where.capabilities.resumable:
            raise UnsupportedOperation(
                f"{self._where.instance}: this blob store cannot resume uploads"
            )
        return await self._call(method, upload_id)

    async def remove(self, locators: Sequence[Locator]) -> Mapping[Locator, JustStorageError]:
        failures: Any = await self._call("remove", locators)
        # A failure that cannot be told from a success would cost a blob its row.
        if not isinstance(failures, Mapping):
            raise self._where.broken("remove", f"answered with a {type(failures).__name__}")
        if not failures.keys() <= set(locators):
            raise self._where.broken("remove", "answered for what it was not asked to remove")
        return {locator: self._failure(failure) for locator, failure in failures.items()}

    def _failure(self, failure: Any) -> JustStorageError:
        if isinstance(failure, JustStorageError):
            return failure
        broken = self._where.broken("remove")
        broken.__cause__ = failure if isinstance(failure, BaseException) else None
        return broken

    async def restore(self, locator: Locator) -> bool:
        return bool(await self._with_trash("restore", locator))

    async def trash(
        self, *, older_than_s: float, limit: int, after: str | None = None
    ) -> list[TrashedBlob]:
        found = await self._with_trash("trash", older_than_s=older_than_s, limit=limit, after=after)
        return cast("list[TrashedBlob]", found)

    async def purge(self, trashed: Sequence[TrashedBlob]) -> None:
        await self._with_trash("purge", trashed)

    async def space(self) -> Space | None:
        if not self._where.capabilities.space:
            return None
        return cast("Space | None", await self._call("space"))

    async def _with_trash(self, method: str, *args: Any, **kwargs: Any) -> Any:
        if not self._where.capabilities.trash:
            raise UnsupportedOperation(f"{self._where.instance}: this blob store has no trash")
        return await self._call(method, *args, **kwargs)
