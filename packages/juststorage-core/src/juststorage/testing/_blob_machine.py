"""Any blob store against a dictionary, in orders that nobody thought of."""

from __future__ import annotations

from anyio.from_thread import BlockingPortal
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from juststorage.domain import Locator, ObjectId
from juststorage.errors import NotFound
from juststorage.plugins import BlobCapabilities
from juststorage.ports import BlobStore, StagedBlob
from juststorage.testing._builders import make_content
from juststorage.testing._machines import Machine

__all__ = ["BlobMachine"]

CONTENTS = st.sampled_from([b"", b"a", b"bb" * 5000, bytes(range(256)) * 300])
PICKS = st.integers(0, 1000)


class BlobMachine(Machine):
    """`placed` and `trash` are what the store must hold; `open` are uploads on their way."""

    def __init__(
        self, portal: BlockingPortal, store: BlobStore, capabilities: BlobCapabilities
    ) -> None:
        super().__init__(portal)
        self.store = store
        self.can = capabilities
        self.placed: dict[Locator, bytes] = {}
        self.known: dict[Locator, bytes] = {}
        self.trash: list[Locator] = []
        self.open: list[tuple[StagedBlob, bytes]] = []

    def arrived(self, locator: Locator, data: bytes) -> None:
        """The store says that these bytes are at this locator now."""
        if self.can.fixed_names:
            assert self.known.setdefault(locator, data) == data
        else:
            assert locator not in self.known
            self.known[locator] = data
        self.placed[locator] = data

    @rule(data=CONTENTS)
    def put(self, data: bytes) -> None:
        """Store bytes in one call."""
        content_hash = make_content(data).content_hash
        self.arrived(self.run(lambda: self.store.put(ObjectId.new(), content_hash, data)), data)

    @precondition(lambda self: len(self.open) < 5)
    @rule(data=CONTENTS, split=st.integers(0, 5000))
    def stage(self, data: bytes, split: int) -> None:
        """Write bytes in two pieces."""

        async def write() -> StagedBlob:
            staged = await self.store.stage(ObjectId.new())
            await staged.write(data[:split])
            await staged.write(memoryview(data)[split:])
            return staged

        self.open.append((self.run(write), data))

    @precondition(lambda self: self.open)
    @rule(pick=PICKS)
    def place(self, pick: int) -> None:
        """Finish and place an upload."""
        staged, data = self.open.pop(pick % len(self.open))

        async def finish() -> Locator:
            async with staged:
                await staged.finish()
                return await self.store.place(staged, make_content(data).content_hash)

        self.arrived(self.run(finish), data)

    @precondition(lambda self: self.open)
    @rule(pick=PICKS)
    def give_up(self, pick: int) -> None:
        """Close an upload without placing it."""
        staged, _ = self.open.pop(pick % len(self.open))
        self.run(staged.aclose)

    @precondition(lambda self: self.open)
    @rule()
    def sweep(self) -> None:
        """Discard all that is staged, as for uploads that are dead."""

        async def discard() -> None:
            await self.store.discard(await self.store.staged(older_than_s=0, limit=100))

        self.run(discard)
        for staged, _ in self.open:
            self.run(staged.aclose)
        self.open.clear()

    @precondition(lambda self: self.known)
    @rule(picks=st.lists(PICKS, max_size=3))
    def remove(self, picks: list[int]) -> None:
        """Remove blobs, some of which may be gone."""
        known = list(self.known)  # by age: locators of generations are in no order
        locators = [known[pick % len(known)] for pick in picks]
        assert self.run(lambda: self.store.remove(locators)) == {}
        for locator in locators:
            if self.placed.pop(locator, None) is not None and self.can.trash:
                self.trash.append(locator)

    @precondition(lambda self: self.can.trash and self.known)
    @rule(pick=PICKS)
    def restore(self, pick: int) -> None:
        """Bring one back, which is there, in the trash, or gone."""
        known = list(self.known)  # by age: locators of generations are in no order
        locator = known[pick % len(known)]
        there = self.run(lambda: self.store.restore(locator))
        assert there is (locator in self.placed or locator in self.trash)
        if there and locator not in self.placed:
            self.trash.remove(locator)
            self.placed[locator] = self.known[locator]

    @precondition(lambda self: self.can.trash)
    @rule(limit=st.integers(1, 3))
    def purge(self, limit: int) -> None:
        """Purge some of the trash."""

        async def purge() -> list[Locator]:
            trashed = await self.store.trash(older_than_s=0, limit=limit)
            await self.store.purge(trashed)
            return [each.locator for each in trashed]

        purged = self.run(purge)
        assert len(purged) == min(limit, len(self.trash))
        for locator in purged:
            self.trash.remove(locator)

    @invariant()
    def the_store_is_as_the_model(self) -> None:
        """Every blob reads back, nothing else is there, and the trash and staging are as known."""
        self.run(self._compare)

    async def _compare(self) -> None:
        found = await self.store.scan(after=None, limit=1000)
        assert [blob.locator for blob in found] == sorted(self.placed)
        for locator, data in self.known.items():
            if locator not in self.placed:
                assert await self.store.stat(locator) is None
                await self._is_absent(locator)
                continue
            async with await self.store.open(locator) as reader:
                chunks = [chunk async for chunk in reader.chunks(0, reader.size_bytes)]
            assert b"".join(chunks) == data
        staged = await self.store.staged(older_than_s=0, limit=100)
        assert len(staged) == len(self.open)
        if self.can.trash:
            trashed = await self.store.trash(older_than_s=0, limit=1000)
            assert sorted(each.locator for each in trashed) == sorted(self.trash)

    async def _is_absent(self, locator: Locator) -> None:
        try:
            reader = await self.store.open(locator)
        except NotFound:
            return
        await reader.aclose()
        raise AssertionError(f"{locator} is still there")

    def teardown(self) -> None:
        """Empty the store through the port, for the next example."""
        self.run(self._drain)

    async def _drain(self) -> None:
        for staged, _ in self.open:
            await staged.aclose()
        await self.store.remove(list(self.placed))
        if self.can.trash:
            await self.store.purge(await self.store.trash(older_than_s=0, limit=1000))
            assert await self.store.trash(older_than_s=0, limit=1000) == []
        assert await self.store.scan(after=None, limit=10) == []
        assert await self.store.staged(older_than_s=0, limit=10) == []
