"""Manifests on files: damaged ones, the newest one, and one that nobody wants any more."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio

from scripts.follow_tutorial import blocks

PAGE = Path(__file__).parents[2] / "docs" / "backup.md"
MARK = ("run by", "tests/backup/test_manifests.py")


def manifest_of(backup_id: str, backups: Path) -> Path:
    """The file that has it."""
    files = [path for path in (backups / "manifests").glob("??/??/*") if path.is_file()]
    (found,) = [path for path in files if backup_id.encode() in path.read_bytes()]
    return found


async def two_backups(deploy: Any, backups: Path) -> tuple[Any, list[str]]:
    """A deployment, and the ids of its backups: of one object, and of two."""
    first, ids = deploy("first"), []
    for key in ("monday", "friday"):
        await first.fill({key: key.encode()})
        created = first.done("backup", "create", "--json", str(backups))
        ids.append(json.loads(created)["id"])
    return first, ids


async def test_a_damaged_manifest_is_not_passed_over(deploy: Any, backups: Path) -> None:
    """An older backup is not taken for the newest one; it is restored by its id."""
    first, (older, newest) = await two_backups(deploy, backups)
    manifest = manifest_of(newest, backups)
    data = manifest.read_bytes()
    manifest.write_bytes(data[:20] + b"X" + data[21:])
    second = deploy("second")
    for command in ("verify", "restore"):
        ran = second.run("backup", command, "--json", str(backups))
        assert ran.returncode == 1 and manifest.name in ran.stderr, ran
        assert json.loads(ran.stdout)["error"]["code"] == "backup_unreadable"
    ran = second.run("backup", "verify", "--id", older, str(backups))
    assert ran.returncode == 0 and manifest.name in ran.stderr, ran
    ran = second.run("backup", "restore", "--id", older, str(backups))
    assert ran.returncode == 0 and manifest.name in ran.stderr, ran
    await second.check({"monday": b"monday"})
    # And what is done about it, as long as the service is there.
    ran = first.run("backup", "verify", "--discard-damaged", str(backups))
    assert ran.returncode == 1 and f"{manifest.name}: the manifest is damaged" in ran.stdout, ran
    assert not manifest.exists()
    first.done("backup", "create", str(backups))
    first.done("backup", "verify", str(backups))
    first.done("backup", "list", str(backups))
    third = deploy("third")
    third.done("backup", "restore", str(backups))
    await third.check({"monday": b"monday", "friday": b"friday"})


async def test_one_is_removed_as_the_page_says(deploy: Any, backups: Path) -> None:
    """Its manifest goes, and with it the backup; the others stay whole."""
    first, (older, newest) = await two_backups(deploy, backups)
    (block,) = [each for each in blocks(PAGE.read_text()) if each.passed_over == MARK]
    script = block.text.replace("/mnt/backup", str(backups))
    script = script.replace("0190163d-7a31-7000-8000-3d0c6f1e2a4b", newest)
    with anyio.fail_after(60):
        await anyio.run_process(["sh", "-euc", script])
    listed = [
        json.loads(line)["id"]
        for line in first.done("backup", "list", "--json", str(backups)).splitlines()
    ]
    assert listed == [older]
    assert older in first.done("backup", "verify", str(backups))


async def test_the_service_s_own_directory_is_no_place(deploy: Any) -> None:
    """What takes the service's files would take its backups; nothing is made there."""
    first = deploy("first")
    await first.fill({"a": b"a"})
    own = first.directory / "juststorage-data"
    before = sorted(own.iterdir())
    ran = first.run("backup", "create", "juststorage-data")
    assert ran.returncode == 2 and "the service's own directory" in ran.stderr, ran
    assert sorted(own.iterdir()) == before
