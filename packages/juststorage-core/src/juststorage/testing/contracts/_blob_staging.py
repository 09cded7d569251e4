"""Staging as a sweeper sees it, and how little it can do."""

from __future__ import annotations

from juststorage.domain import ObjectId
from juststorage.ports import BlobStore, StagedEntry
from juststorage.testing.contracts._base import may_refuse
from juststorage.testing.contracts._blob_base import (
    BlobTests,
    hash_of,
    pattern,
    place,
    put,
    read,
    scan_all,
)

__all__ = ["BlobStaging"]


class BlobStaging(BlobTests):
    """`staged`, `discard`, and the other calls that look at the whole store."""

    async def test_the_sweeper_cannot_touch_what_was_placed_meanwhile(
        self, store: BlobStore
    ) -> None:
        """An entry listed before it was placed may be discarded after: the blob stays."""
        data = pattern(10_000)
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(data)
            await staged.finish()
            listed = await store.staged(older_than_s=0, limit=10)
            assert len(listed) == 1
            locator = await store.place(staged, hash_of(data))
        await store.discard(listed)
        assert await read(store, locator) == data

    async def test_discarded_under_its_upload(self, store: BlobStore) -> None:
        """An upload whose staging was discarded fails, or still places every byte."""
        data = pattern(10_000)
        placed = False
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(data[:5_000])
            await store.discard(await store.staged(older_than_s=0, limit=10))
            with may_refuse():
                await staged.write(data[5_000:])
                await staged.finish()
                await store.place(staged, hash_of(data))
                placed = True
        found = await scan_all(store)
        assert len(found) == int(placed)
        for blob in found:
            assert await read(store, blob.locator) == data

    async def test_an_upload_is_listed_under_its_id(self, store: BlobStore) -> None:
        """A staged entry tells the upload, so that a sweeper can ask whether it is alive."""
        upload_id = ObjectId.new()
        async with await store.stage(upload_id) as staged:
            await staged.write(b"on its way")
            listed = await store.staged(older_than_s=0, limit=10)
            assert [entry.upload_id for entry in listed] == [upload_id]

    async def test_young_entries_are_not_listed(self, store: BlobStore) -> None:
        """What was written to lately is left out."""
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(b"fresh")
            assert await store.staged(older_than_s=3600, limit=10) == []

    async def test_listing_staged_entries_has_a_limit(self, store: BlobStore) -> None:
        """At most `limit` entries come back, and discarding them makes room for the rest."""
        uploads = [await store.stage(ObjectId.new()) for _ in range(5)]
        try:
            first = await store.staged(older_than_s=0, limit=2)
            assert len(first) == 2
            await store.discard(first)
            rest = await store.staged(older_than_s=0, limit=10)
            assert len(rest) == 3
            assert {entry.upload_id for entry in rest}.isdisjoint(
                entry.upload_id for entry in first
            )
        finally:
            for staged in uploads:
                await staged.aclose()

    async def test_staged_entries_are_walked_page_by_page(self, store: BlobStore) -> None:
        """Behind an entry come the others, each once, so that live uploads hide no dead one."""
        uploads = [await store.stage(ObjectId.new()) for _ in range(5)]
        try:
            seen: list[StagedEntry] = []
            after: str | None = None
            while page := await store.staged(older_than_s=0, limit=2, after=after):
                seen += page
                after = page[-1].entry
            assert len(seen) == 5
            assert seen == sorted(seen, key=lambda entry: entry.entry)
            assert seen == await store.staged(older_than_s=0, limit=9)
        finally:
            for staged in uploads:
                await staged.aclose()

    async def test_sizes_of_many(self, store: BlobStore) -> None:
        """The size of each that was asked for, None for what is absent."""
        locators = [await put(store, pattern(size)) for size in (0, 1, 1000)]
        await store.remove([locators[1]])
        found = await store.sizes(locators)
        assert found == {locators[0]: 0, locators[1]: None, locators[2]: 1000}
        assert await store.sizes([]) == {}

    async def test_what_is_found_is_made_durable(self, store: BlobStore) -> None:
        """Whatever is asked for, present or absent: nothing else becomes of it."""
        data = [pattern(size) for size in (0, 1, 1000)]
        locators = [await put(store, each) for each in data]
        await store.remove([locators[1]])
        await store.make_durable([*locators, "no/such/blob", "../../outside"])
        await store.make_durable([])
        assert await store.sizes(locators) == {locators[0]: 0, locators[1]: None, locators[2]: 1000}
        assert await read(store, locators[2]) == data[2]

    async def test_discarding_twice_is_fine(self, store: BlobStore) -> None:
        """Absent entries are no error."""
        async with await store.stage(ObjectId.new()) as staged:
            await staged.write(b"swept")
            listed = await store.staged(older_than_s=0, limit=10)
        await store.discard(listed)
        await store.discard(listed)
        await store.discard([])

    async def test_a_hostile_entry_touches_nothing(self, store: BlobStore) -> None:
        """An entry that no `staged` returned reaches no placed blob."""
        data = pattern(1_000)
        locator = await place(store, data)
        for name in (locator, f"../{locator}", "", "..", "/", "a\x00b"):
            with may_refuse():
                await store.discard([StagedEntry(ObjectId.new(), name)])
        assert await read(store, locator) == data

    async def test_space(self, store: BlobStore) -> None:
        """Room on the volume where the capability is declared, else None."""
        space = await store.space()
        if self.can.space:
            assert space is not None
            assert 0 <= space.free_bytes <= space.total_bytes
        else:
            assert space is None

    async def test_ping_leaves_nothing(self, store: BlobStore) -> None:
        """A ping may write, but nothing of it stays."""
        await store.ping()
        assert await scan_all(store) == []
        assert await store.staged(older_than_s=0, limit=10) == []
