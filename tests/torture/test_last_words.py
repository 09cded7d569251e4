"""A process that does not end says where it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.torture.last_words import LAST_WORDS

_WAITS = """
import asyncio
from tests.torture.last_words import be_asked

async def inner():
    await asyncio.get_running_loop().create_future()

def tick():
    # Only here the task waits for certain. Again and again, because a signal that comes just before
    # the loop begins to wait is handled when that is over.
    print("waiting", flush=True)
    asyncio.get_running_loop().call_later(0.05, tick)

async def outer():
    asyncio.get_running_loop().call_later(0.05, tick)
    async for _ in endless():
        pass

async def endless():
    await inner()
    yield

be_asked()
asyncio.run(outer())
"""


def test_a_process_that_is_asked_says_where_it_waits() -> None:
    """Each of its threads and its signals, each task down to what it waits for; and it goes on."""
    with subprocess.Popen(
        [sys.executable, "-c", _WAITS],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "waiting\n"
            for _ in range(2):
                process.send_signal(LAST_WORDS)
                said = [process.stderr.readline()]
                while "Future" not in said[-1] or said[-1].startswith("task "):
                    assert said[-1], f"it ended: {said}"
                    said.append(process.stderr.readline())
                heard = "".join(said)
                for word in ("most recent call first", "SigCgt:", " outer", " endless", " inner"):
                    assert word in heard
            assert process.poll() is None
        finally:
            process.kill()
