"""Failpoints: where a process stands before and after each call to its stores.

A process of a race test reaches its stores through these wrappers only. A test lets it stop at a
point, looks around, and lets it go on, fail or die there: the interleaving is what the test says,
not what a scheduler happened to do.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import anyio

from juststorage.domain import StorageClass
from juststorage.ports import BlobStore, MetadataStore, StagedBlob
from juststorage.testing.faults import WrappedBlobStore

__all__ = ["BlobsAt", "Killed", "MetadataAt", "Points", "Stop", "blobs_at"]


class Killed(BaseException):
    """The process is gone. Nothing that handles errors handles this, as nothing handles SIGKILL."""


class Stop:
    """A process stops here once.

    Await `reached`, then call `go`, `fail` or nothing at all: what never goes on is frozen.
    """

    def __init__(self, where: str) -> None:
        self.where = where
        self._reached = anyio.Event()
        self._goes = anyio.Event()
        self._error: BaseException | None = None

    async def reached(self) -> None:
        """Wait until the process stands here."""
        await self._reached.wait()

    def go(self) -> None:
        """Let it go on, now or as soon as it comes."""
        self._goes.set()

    def fail(self, error: BaseException) -> None:
        """Let it go on with this error: before a call instead of it, after it as its outcome."""
        self._error = error
        self._goes.set()

    async def hold(self) -> None:
        """What the process does here."""
        self._reached.set()
        await self._goes.wait()
        if self._error is not None:
            raise self._error


class Points:
    """The points of one process, and the order in which it passed them."""

    def __init__(self, name: str, journal: list[str]) -> None:
        self.name = name
        self.passed: list[str] = []
        self.dead = False
        self._journal = journal
        self._stops: dict[str, Stop] = {}
        self._all_stops: list[Stop] = []
        self._kill_at = 0

    def stop(self, where: str) -> Stop:
        """Stop the next time at a point such as `before objects.commit`."""
        assert where.partition(" ")[0] in {"before", "after"}, where
        stop = self._stops[where] = Stop(where)
        self._all_stops.append(stop)
        return stop

    def kill(self) -> None:
        """Die: from here on the process makes no call, and what it does in memory is nothing."""
        self.dead = True
        for stop in self._all_stops:
            stop.go()

    def kill_at(self, number: int) -> None:
        """Die at the `number`-th point from now, the first being 1."""
        self._kill_at = len(self.passed) + number

    async def reach(self, where: str) -> None:
        """Stand at a point."""
        if self.dead:
            raise Killed
        self.passed.append(where)
        self._journal.append(f"{self.name} {where}")
        if len(self.passed) == self._kill_at:
            self.dead = True
        stop = self._stops.pop(where, None)
        if stop is not None:
            await stop.hold()
        if self.dead:
            raise Killed


class _Part:
    """A repository, each of its calls between two points."""

    def __init__(self, inner: Any, name: str, points: Points) -> None:
        self._inner = inner
        self._name = name
        self._points = points

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._inner, method)
        if not inspect.iscoroutinefunction(call):
            return call

        async def between(*args: Any, **kwargs: Any) -> Any:
            await self._points.reach(f"before {self._name}.{method}")
            result = await call(*args, **kwargs)
            await self._points.reach(f"after {self._name}.{method}")
            return result

        return between


class MetadataAt:
    """A metadata store with points; stands in for a `MetadataStore`."""

    def __init__(self, inner: MetadataStore, points: Points) -> None:
        self.objects: Any = _Part(inner.objects, "objects", points)
        self.blobs: Any = _Part(inner.blobs, "blobs", points)
        self.api_keys: Any = _Part(inner.api_keys, "api_keys", points)
        self.usage: Any = _Part(inner.usage, "usage", points)
        self.idempotency: Any = _Part(inner.idempotency, "idempotency", points)
        self.tallies: Any = _Part(inner.tallies, "tallies", points)
        self.audit: Any = _Part(inner.audit, "audit", points)
        self.backups: Any = _Part(inner.backups, "backups", points)
        self.ping = inner.ping
        self.secret = inner.secret


class _StagedAt(StagedBlob):
    """Staged bytes; those of a dead process stay where they are."""

    def __init__(self, inner: StagedBlob, points: Points) -> None:
        self.inner = inner
        self._points = points

    @property
    def size_bytes(self) -> int:  # type: ignore[override]
        return self.inner.size_bytes

    async def write(self, data: bytes | bytearray | memoryview) -> None:
        await self._points.reach("before staged.write")
        await self.inner.write(data)

    async def finish(self) -> None:
        await self._points.reach("before staged.finish")
        await self.inner.finish()
        await self._points.reach("after staged.finish")

    async def aclose(self) -> None:
        if not self._points.dead:
            await self.inner.aclose()


class BlobsAt(WrappedBlobStore):
    """A blob store with points before and after each call that changes or opens something."""

    def __init__(self, inner: BlobStore, points: Points) -> None:
        super().__init__(inner)
        self._points = points
        self.staged_blobs: list[StagedBlob] = []

    async def on(self, method: str) -> None:
        """The point before a call."""
        await self._points.reach(f"before {method}")

    async def stage(self, upload_id: Any) -> StagedBlob:
        staged = await super().stage(upload_id)
        self.staged_blobs.append(staged)
        await self._points.reach("after stage")
        return _StagedAt(staged, self._points)

    async def place(self, staged: StagedBlob, content_hash: Any) -> str:
        # A resumed upload's bytes have no points of their own: closing them discards nothing.
        inner = staged.inner if isinstance(staged, _StagedAt) else staged
        locator = await super().place(inner, content_hash)
        await self._points.reach("after place")
        return locator

    async def put(self, upload_id: Any, content_hash: Any, data: bytes) -> str:
        locator = await super().put(upload_id, content_hash, data)
        await self._points.reach("after put")
        return locator

    async def remove(self, locators: Any) -> Any:
        failures = await super().remove(locators)
        await self._points.reach("after remove")
        return failures


def blobs_at(
    stores: Mapping[StorageClass, BlobStore], points: Points
) -> dict[StorageClass, BlobsAt]:
    """Every class with points."""
    return {name: BlobsAt(store, points) for name, store in stores.items()}
