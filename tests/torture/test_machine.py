"""The machine of `power`, which loses what was not synced."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import anyio

from tests.torture.chores import CHORES
from tests.torture.machine import Machine, Turn
from tests.torture.service import opened_store


async def steps_of_a_restore(machine: Machine) -> list[str]:
    """Those that it takes, from its beginning to its end."""
    process = await machine.world.process("one")
    held = await process.upload(b"held", "held")
    turn = Turn(machine, process, b"new" * 1000, held, random.Random(1))
    restore = CHORES["restore"](turn)
    await restore.prepare()
    turn.process.points.passed.clear()
    await restore.act()
    return [str(point) for point in turn.process.points.passed]


def test_what_was_done_before_makes_no_act_longer(tmp_path: Path) -> None:
    """Or cutting it at every step would have no end: a backup reads the manifests before it."""
    with opened_store("sqlite", tmp_path / "sqlite") as store:
        machine = Machine(store, Counter())

        async def twice() -> None:
            first = await steps_of_a_restore(machine)
            await machine.cut()
            await machine.clear()
            assert len(await steps_of_a_restore(machine)) == len(first) > 20
            await machine.die()

        anyio.run(twice)
