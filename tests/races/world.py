"""The world of a race: processes on one database and one volume, and a journal of what they owe.

What was acknowledged is written down here, outside the processes, and read back at the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import anyio
import pytest

from juststorage.domain import (
    UNCONDITIONAL,
    BlobKey,
    Conditions,
    Namespace,
    NewObject,
    ObjectId,
    ObjectKey,
    StorageClass,
    TenantId,
)
from juststorage.errors import NotFound
from juststorage.ports import Clock, Committed, UploadIntent
from juststorage.runtime import Runtime, open_runtime
from juststorage.testing import make_content
from juststorage.usecases import (
    AuditLimits,
    AuditStore,
    BlobCopier,
    CollectGarbage,
    CollectionLimits,
    CollectionReport,
    DownloadObject,
    FindObject,
    ResumeUpload,
    TicketCodec,
    UploadLimits,
    UploadObject,
)
from tests.races.points import MetadataAt, Points, blobs_at

__all__ = ["NAMESPACE", "TENANT", "Process", "Work", "World", "blob_key"]

TENANT = TenantId("t")
NAMESPACE = Namespace("n")
LEASE_S = 3600.0
PATIENCE_S = 20.0
"""Nothing waits for a clock here; this ends what would wait for ever."""

ResultT = TypeVar("ResultT")


def blob_key(data: bytes, storage_class: StorageClass = StorageClass.HOT) -> BlobKey:
    """The blob that these bytes are."""
    return BlobKey(make_content(data).content_hash, storage_class)


class Work(Generic[ResultT]):
    """Something that a process does while the test goes on."""

    def __init__(self) -> None:
        self.done = anyio.Event()
        self._result: ResultT
        self._error: BaseException | None = None

    async def run(self, call: Callable[[], Awaitable[ResultT]]) -> None:
        """Do it, and keep whatever comes of it, death included."""
        try:
            self._result = await call()
        except BaseException as error:
            self._error = error
            if isinstance(error, anyio.get_cancelled_exc_class()):
                raise
        finally:
            self.done.set()

    async def result(self) -> ResultT:
        """What came of it: its result, or what it raised."""
        await self.done.wait()
        if self._error is not None:
            raise self._error
        return self._result


class _Starter:
    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks

    def __call__(
        self, call: Callable[..., Awaitable[ResultT]], *args: Any, **kwargs: Any
    ) -> Work[ResultT]:
        work = Work[ResultT]()
        self._tasks.start_soon(work.run, lambda: call(*args, **kwargs))
        return work


class Process:
    """A service as one process has it: its own connections, its own points."""

    def __init__(self, world: World, runtime: Runtime, points: Points) -> None:
        self.world = world
        self.runtime = runtime
        self.points = points
        self.metadata: Any = MetadataAt(runtime.metadata, points)
        self.blobs = blobs_at(runtime.blobs, points)

    def stop(self, where: str) -> Any:
        """See `Points.stop`."""
        return self.points.stop(where)

    # -- uploads ------------------------------------------------------------------------------

    def _uploads(self, lease_s: float) -> UploadObject:
        return UploadObject(
            self.metadata,
            self.blobs,
            self.runtime.hashers,
            algorithm="sha256",
            clock=self.runtime.clock,
            limits=_limits(lease_s),
        )

    @staticmethod
    def intent(
        key: str | None = None,
        *,
        replace: bool = False,
        conditions: Conditions = UNCONDITIONAL,
        storage_class: StorageClass = StorageClass.HOT,
    ) -> UploadIntent:
        """An upload to be: POST, or PUT with `replace`."""
        new = NewObject(
            id=ObjectId.new(),
            namespace=NAMESPACE,
            tenant_id=TENANT,
            key=None if key is None else ObjectKey(key),
            storage_class=storage_class,
        )
        return UploadIntent(new=new, replace=replace, conditions=conditions)

    async def upload(
        self,
        data: bytes,
        key: str | None = None,
        *,
        intent: UploadIntent | None = None,
        lease_s: float = LEASE_S,
        **options: Any,
    ) -> ObjectId:
        """Upload a body that is in memory."""
        intent = intent or self.intent(key, **options)
        committed = await self._uploads(lease_s).whole(intent, data)
        return self.world.acknowledge(committed, data)

    async def stream(
        self,
        data: bytes,
        key: str | None = None,
        *,
        body: AsyncIterator[bytes] | None = None,
        lease_s: float = LEASE_S,
        **options: Any,
    ) -> ObjectId:
        """Upload a body as it arrives."""
        intent = self.intent(key, **options)
        committed = await self._uploads(lease_s).stream(intent, body or _in_two(data))
        return self.world.acknowledge(committed, data)

    def resuming(self, lease_s: float = LEASE_S) -> ResumeUpload:
        """The use case for uploads in turns."""
        return ResumeUpload(
            self.metadata,
            self.blobs,
            self.runtime.hashers,
            algorithm="sha256",
            clock=self.runtime.clock,
            limits=_limits(lease_s),
            resumable_for_s=lease_s,
            codec=TicketCodec(b"s" * 32),
        )

    async def upload_in_turns(self, data: bytes, *, lease_s: float = LEASE_S) -> ObjectId:
        """Upload in two requests, after one that begins it."""
        resume = self.resuming(lease_s)
        ticket = resume.ticket(await resume.begin(self.intent(), len(data)))
        offset = 0
        async for part in _in_two(data):
            progress = await resume.append(ticket, offset, _alone(part), size_bytes=len(part))
            offset = progress.offset
        assert progress.committed is not None
        return self.world.acknowledge(progress.committed, data)

    # -- everything else ----------------------------------------------------------------------

    async def delete(self, object_id: ObjectId) -> None:
        """Delete; acknowledged once this returns."""
        await self.metadata.objects.delete(TENANT, object_id)
        self.world.forget(object_id)

    def copier(self, lease_s: float = LEASE_S) -> BlobCopier:
        """How its bytes are moved and copied."""
        return BlobCopier(
            self.metadata,
            self.blobs,
            self.runtime.hashers,
            clock=self.runtime.clock,
            limits=_limits(lease_s),
        )

    def collector(self, **limits: Any) -> CollectGarbage:
        """A collector for which everything is old enough, unless told otherwise."""
        everything = {
            "grace_s": 0,
            "claim_s": 0,
            "trash_retention_s": 0,
            "staging_grace_s": 0,
            "tombstone_retention_s": 0,
        }
        return CollectGarbage(
            self.metadata,
            self.blobs,
            self.runtime.gc_policy,
            clock=self.runtime.clock,
            limits=CollectionLimits(**{**everything, **limits}),
        )

    async def collect(self, **limits: Any) -> CollectionReport:
        """Collect once."""
        return await self.collector(**limits).run()

    async def read(self, object_id: ObjectId) -> bytes:
        """The bytes of an object, as a client gets them."""
        stored = await FindObject(self.metadata).by_id(TENANT, object_id)
        download = DownloadObject(self.metadata, self.blobs, self.runtime.hashers)
        async with await download.open(stored) as reader:
            parts = [part async for part in reader.chunks(0, reader.size_bytes)]
        return b"".join(parts)

    async def holder(self, key: str) -> ObjectId | None:
        """Who holds the key."""
        found = await self.runtime.metadata.objects.find_by_key(TENANT, NAMESPACE, ObjectKey(key))
        return None if found is None else found.id

    async def row(self, data: bytes, storage_class: StorageClass = StorageClass.HOT) -> Any:
        """The blob row of these bytes, or None."""
        key = blob_key(data, storage_class)
        return (await self.runtime.metadata.blobs.find([key])).get(key)

    async def audit(self, **limits: Any) -> list[str]:
        """What a deep audit without any grace finds, a sentence each."""
        strict = AuditLimits(deep=True, staging_grace_s=0, lease_grace_s=0, **limits)
        auditor = AuditStore(
            self.runtime.metadata,
            self.runtime.blobs,
            self.runtime.hashers,
            clock=self.runtime.clock,
            limits=strict,
        )
        return [
            f"{each.invariant} {each.subject}: {each.detail}" async for each in auditor.findings()
        ]


def _limits(lease_s: float) -> UploadLimits:
    return UploadLimits(bytes_max=10**9, lease_s=lease_s, idle_s=60, rate_min_bytes_s=0)


async def _alone(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def _in_two(data: bytes) -> AsyncIterator[bytes]:
    half = len(data) // 2
    for part in (data[:half], data[half:]):
        if part:
            yield part


@dataclass
class World:
    """One database, one volume, any number of processes.

    Args:
        kind: The name of the metadata store.
        config: For every process.
        shared: Whether a second runtime on the configuration is the same store; memory is not.
        plugins: Besides the installed ones.
    """

    kind: str
    config: dict[str, Any]
    root: Path
    shared: bool
    tools: Any
    plugins: list[object] = field(default_factory=list)
    clock: Clock | None = None
    journal: list[str] = field(default_factory=list)
    owed: dict[ObjectId, bytes] = field(default_factory=dict)
    gone: set[ObjectId] = field(default_factory=set)
    processes: list[Process] = field(default_factory=list)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def process(self, name: str) -> Process:
        """Start a process; in a store that cannot be shared, another part of the first one."""
        if self.processes and not self.shared:
            runtime = self.processes[0].runtime
        else:
            opened = open_runtime(self.config, plugins=self.plugins, clock=self.clock)
            runtime = await self._stack.enter_async_context(opened)
        made = Process(self, runtime, Points(name, self.journal))
        self.processes.append(made)
        return made

    def again(self, process: Process, name: str) -> Process:
        """Start the process again, on the connections that it left."""
        made = Process(self, process.runtime, Points(name, self.journal))
        self.processes.append(made)
        return made

    async def two(self) -> tuple[Process, Process]:
        """Two processes."""
        return await self.process("one"), await self.process("two")

    async def stop(self) -> None:
        """End every process. What the dead ones staged stays on the volume."""
        await self._stack.aclose()
        self.processes.clear()

    @asynccontextmanager
    async def together(self) -> AsyncIterator[_Starter]:
        """Start work beside the test; at the end of the block all of it is over."""
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                try:
                    yield _Starter(tasks)
                except BaseException:
                    # Whoever stands at a point in a shielded section would stand there for ever.
                    for process in self.processes:
                        process.points.kill()
                    raise

    def acknowledge(self, committed: Committed, data: bytes) -> ObjectId:
        """A client was told that these bytes are stored."""
        stored = committed.object
        # Another client may have been told of its end before this one was told of its beginning.
        if stored.id not in self.gone:
            self.owed[stored.id] = data
        if committed.replaced is not None:
            self.forget(committed.replaced)
        return stored.id

    def forget(self, object_id: ObjectId) -> None:
        """A client was told that the object is gone."""
        self.owed.pop(object_id, None)
        self.gone.add(object_id)

    async def check(self) -> None:
        """Every promise, now: no finding, every acknowledged byte there, nothing deleted back."""
        found = [each for each in self.processes if each.points.name == "check"]
        reader = found[0] if found else await self.process("check")
        # First the readers, who find what is wrong now; then a collection, which mends and clears
        # whatever dead processes left; then the auditor, to whom nothing may be left to say.
        await self._read_all(reader)
        report = await reader.collect()
        if report.adopted or report.reaped:
            # Orphans that the first adopts are garbage for the second, and so is what was reaped.
            report = await reader.collect()
        assert report.errors == 0, report
        found = await reader.audit()
        assert found == [], found
        await self._read_all(reader)

    async def _read_all(self, reader: Process) -> None:
        for object_id, data in self.owed.items():
            assert await reader.read(object_id) == data, object_id
        for object_id in self.gone:
            with pytest.raises(NotFound):
                await reader.read(object_id)

    def order(self, *events: str) -> bool:
        """Whether the last times that these happened are in this order."""
        times = [len(self.journal) - self.journal[::-1].index(event) for event in events]
        return times == sorted(times)
