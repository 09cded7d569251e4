"""StagedBlob: bytes on their way into a blob store. `BlobStore` says what holds for all of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from juststorage.domain import ContentHash

__all__ = ["ResumableBlob", "StagedBlob"]


class StagedBlob(ABC):
    """Bytes on their way in. Used by one upload; `write` calls come one after another.

    An async context manager: leaving it without having been placed discards what was staged.
    """

    size_bytes: int
    """Bytes written so far."""

    @abstractmethod
    async def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append all of `data`, or raise. The buffer may be reused once this returns.

        Raises:
            StorageFull: No room.
            Unavailable: The store failed; nothing more can be written here.
        """

    async def write_parts(self, parts: Sequence[bytes]) -> None:
        """Append all parts in their order, or raise as `write` does.

        A body arrives in parts. A store that copies what it is given anyway overrides this, and
        spares the copy that joins them.
        """
        await self.write(parts[0] if len(parts) == 1 else b"".join(parts))

    @abstractmethod
    async def finish(self) -> None:
        """Make what was written durable. Called once, after the last `write`.

        A failed sync is final: it is never tried again on the same descriptor, because a second one
        may report success for pages that the first one dropped.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Discard what was staged, unless it has been placed. Idempotent; does not raise."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class ResumableBlob(StagedBlob):
    """Staged bytes that outlive whoever writes them (capability `resumable`).

    `size_bytes` is how many are there when it is opened; `write` appends behind them. Leaving it
    without having been placed discards nothing: the next `BlobStore.resume` goes on with what has
    been kept. A store may keep more than it was asked to, so that little is lost when the process
    is killed amid a long body.
    """

    placed_as: ContentHash | None = None
    """What `place` was last called with for these bytes: an attempt before this one got as far.
    They need not be hashed again then, and nothing can be written behind them.
    """

    @abstractmethod
    async def read(self, start: int, length: int) -> bytes:
        """Exactly `length` bytes from `start`, of those that are there; not after `finish`.

        Raises:
            Corrupt: There are fewer, or the medium cannot read them back.
            Unavailable: The store failed.
        """

    @abstractmethod
    async def keep(self) -> None:
        """Make durable what was written so far: from here a power cut does not take it away.

        May be repeated, and followed by more writes. After a `write` or `keep` that failed with
        anything but `StorageFull`, it does nothing: what was kept before stays.

        Raises:
            StorageFull: No room; what was kept before stays.
            Unavailable: The store failed; what was kept before stays.
        """
