"""What survives a power cut, for authors who can simulate one."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint

from juststorage.domain import ObjectId
from juststorage.testing.contracts._blob_base import (
    BlobTests,
    hash_of,
    pattern,
    place,
    put,
    read,
    scan_all,
)

__all__ = ["BlobSurviving"]


class BlobSurviving(BlobTests):
    """Opt in by the fixture `power_cut`; without it these tests are skipped.

    It returns a function that takes the medium back to what was synced, as a power cut does: what a
    simulated disk, a filesystem with a log of syncs, or a virtual machine can do.

    It is called while the store is open. A medium that threads may still be writing to refuses that
    from then on, and loses what was not synced when it is opened again.
    """

    @pytest.fixture
    def power_cut(self) -> Callable[[], None]:
        """What forgets everything that was not made durable."""
        pytest.skip("there is no fixture `power_cut`: nothing here can cut the power")

    async def test_what_was_acknowledged_survives_a_power_cut(
        self, options: msgspec.Struct, power_cut: Callable[[], None]
    ) -> None:
        """When `place` or `put` has returned, name and bytes are there after a power cut."""
        contents = [pattern(100_000), pattern(100_000, seed=2)]
        async with self.opened(options) as store:
            locators = [await place(store, contents[0]), await put(store, contents[1])]
            power_cut()
        async with self.opened(options) as store:
            for locator, data in zip(locators, contents, strict=True):
                size = await store.stat(locator)
                assert size is not None, "the name was lost: sync the directory before returning"
                assert size == len(data), "bytes were lost: sync them in `finish`, before the name"
                assert await read(store, locator) == data

    @pytest.mark.parametrize("turns", [*range(10), 15, 20, 40])
    async def test_a_power_cut_in_between_leaves_no_half(
        self, options: msgspec.Struct, power_cut: Callable[[], None], turns: int
    ) -> None:
        """Whenever the power goes, what is at a final locator is whole."""
        data = pattern(100_000)

        async def upload() -> None:
            async with await store.stage(ObjectId.new()) as staged:
                await staged.write(data)
                await staged.finish()
                await store.place(staged, hash_of(data))

        async with self.opened(options) as store, anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            for _ in range(turns):
                await checkpoint()
            power_cut()
            tasks.cancel_scope.cancel()
        async with self.opened(options) as store:
            for blob in await scan_all(store):
                assert blob.size_bytes == len(data), "half a blob has a final name"
                assert await read(store, blob.locator) == data
