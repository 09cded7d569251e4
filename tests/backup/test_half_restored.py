"""A deployment whose restore was interrupted: what is refused there, and how it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest


async def interrupted(second: Any, backups: Path) -> bool:
    """Kill a restore once bytes are placed; whether it had not ended."""
    process = second.start("backup", "restore", "--jobs", "1", str(backups))
    hot = second.directory / "juststorage-data" / "hot"
    while process.poll() is None and not any(hot.glob("??/??/*")):  # noqa: ASYNC110
        await anyio.sleep(0.002)  # for another process
    process.kill()
    process.communicate()
    async with second.opened() as runtime:
        return len(await runtime.metadata.backups.holds()) == 1


@pytest.fixture
async def half(deploy: Any, backups: Path, contents: dict[str, bytes]) -> tuple[Any, str]:
    """One that was killed on its way, and the id of the backup; by now there is a newer one."""
    first = deploy("first")
    await first.fill(contents)
    created = json.loads(first.done("backup", "create", "--json", str(backups)))
    for attempt in range(5):
        second = deploy(f"second-{attempt}")
        if await interrupted(second, backups):
            break
    else:
        pytest.fail("each had ended before it was killed")
    await first.fill({"newer": b"newer"})
    first.done("backup", "create", str(backups))
    return second, created["id"]


async def test_half_of_a_state_is_no_backup(half: Any, backups: Path) -> None:
    """It would be the newest one, of nothing; whoever asks is told what to do first."""
    second, begun = half
    before = second.done("backup", "list", str(backups))
    ran = second.run("backup", "create", "--json", str(backups))
    assert ran.returncode == 1 and f"restore --id {begun}" in ran.stderr, ran
    assert json.loads(ran.stdout)["error"]["code"] == "invalid_state"
    assert second.done("backup", "list", str(backups)) == before
    for words in (["doctor"], ["serve", "--port", "0"]):
        ran = second.run(*words)
        assert f"backup restore --id {begun}" in ran.stdout + ran.stderr, ran


async def test_fsck_says_it_first(half: Any) -> None:
    """And mends nothing: the counts that it finds to be wrong are those of what is to come."""
    second, begun = half
    async with second.opened() as runtime:
        rows = await runtime.metadata.blobs.scan(after=None, limit=1000)
    ran = second.run("fsck", "--repair")
    first, second_line, *_ = ran.stdout.splitlines()
    assert ran.returncode == 1 and first.startswith(f"restore {begun}: "), ran
    assert f"run `juststorage backup restore --id {begun}` again" in first
    assert second_line.startswith("I3 ") and "(repaired)" not in ran.stdout
    async with second.opened() as runtime:
        assert await runtime.metadata.blobs.scan(after=None, limit=1000) == rows


async def test_the_same_command_goes_on(
    half: Any, backups: Path, contents: dict[str, bytes]
) -> None:
    """With the backup that it had begun, not with what is the newest one by now."""
    second, begun = half
    listed = second.done("backup", "list", "--json", str(backups)).splitlines()
    newest = json.loads(listed[-1])["id"]
    ran = second.run("backup", "restore", "--id", newest, str(backups))
    assert ran.returncode == 1 and f"--id {begun}" in ran.stderr, ran
    report = json.loads(second.done("backup", "restore", "--json", str(backups)))
    assert (report["id"], report["continued"], report["ended"]) == (begun, True, True)
    await second.check(contents)
    second.done("backup", "create", str(backups))
