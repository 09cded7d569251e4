"""The switch of read-only mode, which every process of a store follows."""

from __future__ import annotations

import anyio
import pytest

from juststorage.ports import MetadataStore, ReadOnlySwitch
from juststorage.testing.contracts._metadata_base import MetadataTests

__all__ = ["MetadataSwitching"]


class MetadataSwitching(MetadataTests):
    """Skipped where the store keeps no switch: both methods have a default."""

    async def test_a_new_store_takes_changes(self, store: MetadataStore) -> None:
        """Its switch is off and was never turned; a store without one says so in both ways."""
        if await store.read_only() is None:
            assert await store.turn_read_only(on=True) is None
            assert await store.read_only() is None
            pytest.skip("the store keeps no switch")
        assert await store.read_only() == ReadOnlySwitch(on=False, turns=0)

    async def test_each_turn_is_another_one(self, store: MetadataStore) -> None:
        """Also one to the side on which it is: who was told otherwise meanwhile has to notice."""
        await _needs_switch(store)
        for turns, on in enumerate((True, True, False, False, True), start=1):
            assert await store.turn_read_only(on=on) == ReadOnlySwitch(on=on, turns=turns)
            assert await store.read_only() == ReadOnlySwitch(on=on, turns=turns)

    async def test_turns_at_once_are_all_counted(self, store: MetadataStore) -> None:
        """One after the other: each gets a number of its own, and the last one is how it stands."""
        await _needs_switch(store)
        seen: list[ReadOnlySwitch | None] = []

        async def turn(on: bool) -> None:
            seen.append(await store.turn_read_only(on=on))

        async with anyio.create_task_group() as tasks:
            for number in range(10):
                tasks.start_soon(turn, number % 2 == 0)
        turned = [each for each in seen if each is not None]
        assert sorted(each.turns for each in turned) == list(range(1, 11))
        assert sum(each.on for each in turned) == 5
        assert await store.read_only() == max(turned, key=lambda each: each.turns)


async def _needs_switch(store: MetadataStore) -> None:
    if await store.read_only() is None:
        pytest.skip("the store keeps no switch")
