"""The kit against copies of the memory stores with a bug in each: caught, and told in words."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase as fnmatch
from textwrap import dedent

import pytest

pytest_plugins = ["pytester"]

HEAD = """
    import asyncio
    import time
    from contextlib import asynccontextmanager
    from dataclasses import replace

    import pytest
    from anyio.lowlevel import checkpoint
    from msgspec.structs import replace as changed
    from juststorage.domain import UNCONDITIONAL, Change
    from juststorage.errors import NotFound
    from juststorage.plugins import BlobCapabilities
    from juststorage.plugins._guards import unwrap
    from juststorage.plugins.memory import MEMORY_BLOBS, MEMORY_METADATA
    from juststorage.plugins.memory._blob_store import (
        MemoryBlobStore, _MemoryReader, _MemoryStagedBlob
    )
    from juststorage.plugins.memory._metadata_store import MemoryMetadataStore
    from juststorage.plugins.memory._objects import MemoryObjectRepository
    from juststorage.ports import PlacedBlob
    from juststorage.testing import BlobStoreContract, MetadataStoreContract

    pytest_plugins = ["juststorage.testing.fixtures"]
"""

BLOBS = """
    @asynccontextmanager
    async def open_store(options, context):
        yield Store(context.clock)

    class {name}(BlobStoreContract):
        backend = replace(MEMORY_BLOBS, open=open_store, **getattr(Store, "declared", {}))
"""

METADATA = """
    @asynccontextmanager
    async def open_store(options, context):
        store = MemoryMetadataStore(context.clock, audit=context.audit)
        store.objects = Objects(store.rows)
        yield store

    class {name}(MetadataStoreContract):
        backend = replace(MEMORY_METADATA, open=open_store)
"""

# A disk with a cache, and a store on it that syncs in this order.
DISK = """
    class Disk:
        def __init__(self):
            self.cached, self.synced = {{}}, {{}}

        def sync(self, name):
            self.synced[name] = self.cached[name]

        def cut(self):
            self.cached = dict(self.synced)

    disk = Disk()

    class Staged(_MemoryStagedBlob):
        async def finish(self):
            await super().finish()
            disk.cached["bytes of " + self.entry] = bytes(self._staging.data)
            {finish}

    class Store(MemoryBlobStore):
        def __init__(self, clock):
            super().__init__(clock)
            for name, entry in disk.cached.items():
                if not name.startswith("bytes of "):
                    self._placed[name] = disk.cached.get("bytes of " + entry, b"")

        async def stage(self, upload_id):
            staged = await super().stage(upload_id)
            return Staged(self, staged.entry, staged._staging)

        async def place(self, staged, content_hash):
            locator = await super().place(staged, content_hash)
            disk.cached[locator] = staged.entry
            {place}
            await checkpoint()
            return locator

        async def put(self, upload_id, content_hash, data):
            async with await self.stage(upload_id) as staged:
                await staged.write(data)
                await staged.finish()
                return await self.place(staged, content_hash)

    class Kept(BlobStoreContract):
        @pytest.fixture(autouse=True)
        def power_cut(self):
            disk.__init__()
            return disk.cut
"""
SYNC_BYTES = "disk.sync('bytes of ' + self.entry)"
SYNC_NAME = "disk.sync(locator)"

BUGS = {
    "a short read": (
        """
        class Reader(_MemoryReader):
            async def chunks(self, start, length):
                async for chunk in super().chunks(start, length):
                    yield chunk[:-1] if length > 1 else chunk

        class Store(MemoryBlobStore):
            async def open(self, locator):
                return Reader((await super().open(locator))._data)
        """,
        "test_put_reads_back",
        ["*Corrupt: blobs.hot: the blob has 1 bytes fewer than it should"],
    ),
    "bytes are not synced before their name": (
        DISK.format(finish="", place=SYNC_NAME),
        "power_cut",
        ["*bytes were lost: sync them in `finish`, before the name*", "*half a blob*"],
    ),
    "a name is not synced": (
        DISK.format(finish=SYNC_BYTES, place=""),
        "power_cut",
        ["*the name was lost: sync the directory before returning*"],
    ),
    "the loop is blocked": (
        """
        class Store(MemoryBlobStore):
            async def put(self, upload_id, content_hash, data):
                time.sleep(0.9)
                return await super().put(upload_id, content_hash, data)
        """,
        "test_put_reads_back",
        ["*the event loop stood still for over 0.5 s in *put*: what waits belongs in a thread*"],
    ),
    "an error of the driver": (
        """
        class Store(MemoryBlobStore):
            async def open(self, locator):
                await checkpoint()
                return _MemoryReader(self._placed[locator])
        """,
        "test_opening_what_is_absent",
        [
            "*KeyError*",
            "*BackendError: blobs.hot: open failed unexpectedly",
            "*test_opening_what_is_absent: There is nothing at a locator whose blob was removed.*",
        ],
    ),
    "the caller's buffer is kept": (
        """
        class Staged(_MemoryStagedBlob):
            async def write(self, data):
                await checkpoint()
                self.pieces = [*getattr(self, "pieces", []), data]
                self.size_bytes += len(data)

            async def finish(self):
                await super().finish()
                self._staging.data += b"".join(getattr(self, "pieces", []))

        class Store(MemoryBlobStore):
            async def stage(self, upload_id):
                staged = await super().stage(upload_id)
                return Staged(self, staged.entry, staged._staging)
        """,
        "test_a_big_blob_in_odd_pieces",
        ["*from one buffer that is used again and again*"],
    ),
    "parts come in another order": (
        """
        class Staged(_MemoryStagedBlob):
            async def write_parts(self, parts):
                await self.write(b"".join(sorted(parts, key=len)))

        class Store(MemoryBlobStore):
            async def stage(self, upload_id):
                staged = await super().stage(upload_id)
                return Staged(self, staged.entry, staged._staging)
        """,
        "test_parts_are_written_in_their_order",
        ["*`write_parts` is `write` of the parts joined*"],
    ),
    "closing takes back what was placed": (
        """
        class Staged(_MemoryStagedBlob):
            async def aclose(self):
                await super().aclose()
                self.store._placed.pop(getattr(self, "locator", None), None)

        class Store(MemoryBlobStore):
            async def stage(self, upload_id):
                staged = await super().stage(upload_id)
                return Staged(self, staged.entry, staged._staging)

            async def place(self, staged, content_hash):
                staged.locator = await super().place(staged, content_hash)
                return staged.locator
        """,
        "test_closing_twice_is_fine",
        ["*NotFound*", "*`StagedBlob.aclose` is idempotent, before and after placing.*"],
    ),
    "half a blob has its final name": (
        """
        class Store(MemoryBlobStore):
            async def put(self, upload_id, content_hash, data):
                await checkpoint()
                locator = str(content_hash)
                self._placed[locator] = bytes(data[: len(data) // 2])
                await checkpoint()
                self._placed[locator] = bytes(data)
                return locator
        """,
        "test_cancelled_anywhere",
        ["*A cancelled upload leaves a whole blob, a staged entry, or nothing.*"],
    ),
    "an identity that outlives a change": (
        """
        class Reader(_MemoryReader):
            from_memory = True

            def identity(self):
                return f"{len(self._data)} bytes"

        class Store(MemoryBlobStore):
            declared = {
                "capabilities": changed(MEMORY_BLOBS.capabilities, identity=True)
            }

            async def open(self, locator):
                return Reader(bytearray((await super().open(locator))._data))

        class Kept(BlobStoreContract):
            @pytest.fixture
            def damage(self):
                def flip(reader):
                    unwrap(reader)._data[0] ^= 1

                return flip
        """,
        "test_an_identity_changes_with_the_bytes",
        ["*the bytes were changed under the same identity*"],
    ),
    "a walk in no order": (
        """
        class Store(MemoryBlobStore):
            async def scan(self, *, after, limit):
                found = await super().scan(after=after, limit=limit)
                return found[::-1]
        """,
        "test_a_walk_is_complete_and_ordered",
        ["*Every blob is seen once, by ascending locator, wherever the pages end.*"],
    ),
    "a task is left": (
        """
        tasks = []

        async def sweep():
            await asyncio.sleep(60)

        class Store(MemoryBlobStore):
            def __init__(self, clock):
                super().__init__(clock)
                tasks.append(asyncio.create_task(sweep()))
        """,
        "test_put_reads_back",
        ["*tasks are still running: {'sweep'}*"],
    ),
    "a capability that is not there": (
        """
        class Store(MemoryBlobStore):
            def locator_of(self, content_hash):
                return None
        """,
        "test_where_bytes_would_be",
        ["*Fixed names are known without looking, placed or not; generations never are.*"],
    ),
    "a reservation that is not atomic": (
        """
        class Objects(MemoryObjectRepository):
            async def begin(self, intent, *, lease_s):
                self._check_begin(intent)
                await checkpoint()
                return self._begin(intent, lease_s)
        """,
        "test_many_posts_at_once",
        ["*test_many_posts_at_once:*"],
    ),
    "a transaction that leaks": (
        """
        class Objects(MemoryObjectRepository):
            async def update(self, tenant_id, object_id, change, *, conditions=UNCONDITIONAL):
                # The first half is there although the second is refused.
                first = Change(
                    content_type=change.content_type, merge_metadata=change.merge_metadata
                )
                await super().update(tenant_id, object_id, first, conditions=conditions)
                return await super().update(
                    tenant_id, object_id, Change(key=change.key), conditions=conditions
                )
        """,
        "test_a_new_key_must_be_free",
        ["*test_a_new_key_must_be_free:*"],
    ),
    "a reference that is not released": (
        """
        class Objects(MemoryObjectRepository):
            async def delete(self, tenant_id, object_id, *, conditions=UNCONDITIONAL):
                row = self._visible(tenant_id, object_id, conditions)
                held = row.held
                deleted = await super().delete(tenant_id, object_id, conditions=conditions)
                blob = self._rows.blobs[held]
                self._rows.blobs[held] = changed(blob, ref_count=blob.ref_count + 1)
                return deleted
        """,
        "test_deleting",
        ["*I3*"],
    ),
    "another tenant's object": (
        """
        class Objects(MemoryObjectRepository):
            async def find(self, tenant_id, object_id):
                await checkpoint()
                row = self._rows.objects.get(object_id)
                return None if row is None else self._rows.seen(row)
        """,
        "test_nothing_reaches_another_tenant",
        ["*test_nothing_reaches_another_tenant:*"],
    ),
}

CONTROL = DISK.format(finish=SYNC_BYTES, place=SYNC_NAME)
POWER_CUTS = (
    "test_what_was_acknowledged_survives_a_power_cut",
    "test_a_power_cut_in_between_leaves_no_half",
)


def write(pytester: pytest.Pytester, number: int, source: str, test: str) -> list[str]:
    """An author's test module with this store; returns the tests of the kit to run."""
    kind = BLOBS if "class Store" in source else METADATA
    if "class Kept" in source:
        kind = kind.replace("(BlobStoreContract)", "(Kept)")
    body = dedent(HEAD) + dedent(source) + dedent(kind).replace("{name}", f"TestBug{number}")
    file = f"test_bug_{number}.py"
    (pytester.path / file).write_text(body)
    tests = POWER_CUTS if test == "power_cut" else (test,)
    return [f"{file}::TestBug{number}::{each}" for each in tests]


def test_planted_bugs_are_caught(
    pytester: pytest.Pytester, run_planted: Callable[[Sequence[str]], tuple[dict[int, str], str]]
) -> None:
    """For each bug some test fails, and what is printed names the place or the rule.

    All in one run: importing the kit takes longer than its tests.
    """
    tests = write(pytester, 0, CONTROL, "power_cut")
    for number, (source, test, _) in enumerate(BUGS.values(), start=1):
        tests += write(pytester, number, source, test)
    told, summary = run_planted(tests)
    assert told[0] == "", "the control failed: its bytes are synced before their name"
    assert "blob_store:memory, TestBug0  BlobStoreContract: 14 of 14 required; cap" in summary
    for number, (bug, (_, _, messages)) in enumerate(BUGS.items(), start=1):
        assert told[number], f"{bug} was not caught"
        for message in messages:
            assert fnmatch(told[number], f"*{message}*"), f"{bug}: {message} in\n{told[number]}"
