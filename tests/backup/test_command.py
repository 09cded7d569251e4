"""The command itself: what it refuses, and what it leaves when it is ended."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import anyio
import pytest


def files(directory: Path) -> int:
    """How many contents there are in a directory of backups."""
    return sum(1 for path in (directory / "contents").rglob("*") if path.is_file())


def placed(directory: Path) -> int:
    """How many blobs there are in a deployment's own directory."""
    return sum(1 for path in directory.glob("juststorage-data/*/??/??/*"))


def test_where_there_is_nothing(deploy: Any, backups: Path, tmp_path: Path) -> None:
    """No store, no place, no directory, no backup: a sentence each, and nothing is made."""
    first = deploy("first")
    ran = first.run("backup", "create", str(backups))
    assert ran.returncode == 2 and "there is no store" in ran.stderr
    first.done("migrate", "up")
    ran = first.run("backup", "create")
    assert ran.returncode == 2 and "backup.contents.backend is not set" in ran.stderr
    ran = first.run("backup", "create", str(tmp_path / "not mounted"))
    assert ran.returncode == 2 and "mount its volume" in ran.stderr
    for words in (["verify"], ["list"], ["restore"]):
        ran = first.run("backup", *words, str(backups))
        assert ran.returncode == 1 and "there is no backup in" in ran.stderr, ran
    assert list(backups.iterdir()) == []


async def test_restores_are_refused_where_something_is(deploy: Any, backups: Path) -> None:
    """With exit code 1, and nothing is changed; a wrong id is told as well."""
    first = deploy("first")
    await first.fill({"a": b"a"})
    first.done("backup", "create", str(backups))
    ran = first.run("backup", "restore", str(backups))
    assert ran.returncode == 1 and "there are objects here already" in ran.stderr
    second = deploy("second")
    ran = second.run("backup", "restore", "--id", "ffff", str(backups))
    assert ran.returncode == 1 and "there is no backup ffff" in ran.stderr
    second.done("backup", "restore", str(backups))
    # As one that was killed after its last word to the database.
    ran = second.run("backup", "restore", str(backups))
    assert ran.returncode == 1 and "a restore has ended here" in ran.stderr
    await first.check({"a": b"a"})
    await second.check({"a": b"a"})


@pytest.mark.parametrize("metadata", ["sqlite", "postgres"])
async def test_a_configured_key_is_the_one_that_comes_back(
    deploy: Any, backups: Path, metadata: str
) -> None:
    """Also where a service of the new deployment has made it anew, before anything came back."""
    configured = {"JUSTSTORAGE__AUTH__API_KEY__BOOTSTRAP_KEY": "a-key-of-the-operators-own"}
    first = deploy("first", **configured)
    await first.fill({"a": b"a"})
    first.done("gc", "run")
    known = json.loads(first.done("keys", "list", "--json"))
    first.done("backup", "create", str(backups))
    second = deploy("second", metadata, **configured)
    second.done("migrate", "up")
    second.done("gc", "run")
    assert json.loads(second.done("keys", "list", "--json")) != known
    second.done("backup", "restore", str(backups))
    assert json.loads(second.done("keys", "list", "--json")) == known


async def test_damage_is_named(deploy: Any, backups: Path) -> None:
    """A flipped bit of a file is found, healed by the next backup, and told in JSON too."""
    first = deploy("first")
    objects = await first.fill({"a": b"a" * 1000, "b": os.urandom(300_000)})
    first.done("backup", "create", str(backups))
    name = objects["b"].content_hash.hex
    path = backups / "contents" / name[:2] / name[2:4] / name
    data = bytearray(path.read_bytes())
    data[77] ^= 1
    path.write_bytes(data)
    first.done("backup", "verify", "--quick", str(backups))
    ran = first.run("backup", "verify", str(backups))
    assert ran.returncode == 1 and f"sha256:{name}: its bytes do not have its hash" in ran.stdout
    second = deploy("second")
    ran = second.run("backup", "restore", str(backups), "--json")
    report = json.loads(ran.stdout)
    assert ran.returncode == 1 and not report["ended"] and name in report["missing"][0]
    # Nobody serves half of a state, and whoever looks is told what to do.
    ran = second.run("serve", "--port", "0")
    assert ran.returncode == 2 and "has not ended" in ran.stderr, ran.stderr
    ran = second.run("doctor")
    assert ran.returncode == 1 and "juststorage backup restore" in ran.stdout
    ran = first.run("backup", "verify", "--discard-damaged", "--json", str(backups))
    damage, _ = (json.loads(line) for line in ran.stdout.splitlines())
    assert damage["discarded"]
    assert json.loads(first.done("backup", "create", "--json", str(backups)))["copied"] == 1
    first.done("backup", "verify", str(backups))
    second.done("backup", "restore", "--id", report["id"], str(backups))
    async with second.opened() as runtime:
        assert len(await second.read("b", runtime)) == 300_000


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_an_ended_backup_goes_on(
    deploy: Any, backups: Path, contents: dict[str, bytes], end: signal.Signals
) -> None:
    """Ended again and again while it copies; what is there is not copied twice."""
    first = deploy("first")
    await first.fill(contents)
    distinct = len(set(contents.values()))
    for _ in range(8):
        before = files(backups)
        process = first.start("backup", "create", "--jobs", "1", str(backups))
        while process.poll() is None and files(backups) < before + distinct // 4:  # noqa: ASYNC110
            await anyio.sleep(0.002)  # for another process
        if process.poll() is not None:
            break
        process.send_signal(end)
        told = process.communicate(timeout=30)
        assert process.returncode != 0 or "backup" in told[0]
        async with first.opened() as runtime:
            holds = await runtime.metadata.backups.holds()
        assert end is signal.SIGKILL or holds == []
    out, error = process.communicate()
    assert process.returncode == 0, out + error
    report = json.loads(first.done("backup", "create", "--json", str(backups)))
    assert (report["copied"], report["found"]) == (0, distinct)
    first.done("backup", "verify", str(backups))
    # Segments of the attempts are there as well.
    assert distinct < files(backups) < distinct + 30
    second = deploy("second")
    second.done("backup", "restore", str(backups))
    await second.check(contents)


async def restored(deployment: Any, objects: int) -> bool:
    """Whether a restore has ended, with all objects."""
    async with deployment.opened() as runtime:
        found = await runtime.metadata.objects.scan(after=None, limit=1000)
        return len(found) == objects and not await runtime.metadata.backups.holds()


@pytest.mark.parametrize("metadata", ["sqlite", "postgres"])
async def test_a_killed_restore_goes_on(
    deploy: Any, backups: Path, contents: dict[str, bytes], metadata: str
) -> None:
    """Killed again and again; a collector beside it takes nothing of what is there."""
    first = deploy("first")
    await first.fill(contents)
    first.done("backup", "create", str(backups))
    second = deploy("second", metadata, JUSTSTORAGE__GC__GRACE_S="0")
    kills, is_over = 0, False
    some = len(set(contents.values())) // 4
    for _ in range(5):
        before = placed(second.directory)
        process = second.start("backup", "restore", "--jobs", "1", str(backups))
        while process.poll() is None and placed(second.directory) < before + some:  # noqa: ASYNC110
            await anyio.sleep(0.002)  # for another process
        if process.poll() is not None:
            break
        process.kill()
        process.communicate()
        kills += 1
        second.run("gc", "run")
        # Whoever is killed on the way out has done its work.
        is_over = await restored(second, len(contents))
        if is_over:
            break
    else:
        second.done("backup", "restore", str(backups))
    if not is_over:
        out, error = process.communicate()
        assert process.returncode in {0, -9}, out + error
    assert kills
    await second.check(contents)
    async with second.opened() as runtime:
        assert await runtime.metadata.backups.holds() == []
