"""What was backed up from one kind of store is restored into another."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest


def flat(tree: dict[str, Any]) -> dict[str, str]:
    """Variables of a tree of settings."""
    found: dict[str, str] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= {f"{name}__{key.upper()}": text for key, text in flat(value).items()}
        else:
            found[name] = str(value)
    return found


@pytest.mark.parametrize(
    ("source", "destination"), [("sqlite", "postgres"), ("postgres", "sqlite")]
)
async def test_from_one_database_to_the_other(
    deploy: Any, backups: Path, contents: dict[str, bytes], source: str, destination: str
) -> None:
    """Objects with their ids, times, metadata; keys that still open; nothing left over."""
    first = deploy("first", source)
    objects = await first.fill(contents)
    created = first.done(
        "keys", "create", "--name", "ci", "--all-tenants", "--scope", "admin", "--json"
    )
    secret = json.loads(created)["key"]
    told = first.done("backup", "create", str(backups))
    assert f"{len(contents)} objects" in told
    assert "whole" in first.done("backup", "verify", str(backups))
    second = deploy("second", destination)
    assert "restored" in second.done("backup", "restore", str(backups))
    await second.check(contents)
    async with second.opened() as runtime:
        for stored in objects.values():
            found = await runtime.metadata.objects.find(stored.tenant_id, stored.id)
            assert found == stored
        (api_key,) = await runtime.metadata.api_keys.page(after=None, limit=9)
        assert api_key.name == "ci" and api_key.prefix == secret[: len(api_key.prefix)]
        assert await runtime.metadata.backups.holds() == []
    # And on: what grows there is backed up to the same place, by what is new.
    await second.fill({"new": b"new content"})
    report = json.loads(second.done("backup", "create", str(backups), "--json"))
    assert report["copied"] == 1
    assert second.done("backup", "list", str(backups)).count("\n") == 3


async def test_into_a_bucket(
    deploy: Any, s3_server: Any, s3_bucket: str, contents: dict[str, bytes]
) -> None:
    """Two stores of one bucket, whose names do not tell what is in them."""
    table = s3_server.table(s3_bucket, "backups")
    variables = flat(
        {
            f"JUSTSTORAGE__BACKUP__{part}": {"BACKEND": "objectstore", "OBJECTSTORE": table}
            for part in ("CONTENTS", "MANIFESTS")
        }
    )
    first = deploy("first", **variables)
    await first.fill(contents)
    report = json.loads(first.done("backup", "create", "--json"))
    assert report["copied"] == len(set(contents.values()))
    again = json.loads(first.done("backup", "create", "--json"))
    assert (again["copied"], again["found"]) == (0, len(set(contents.values())))
    assert "whole" in first.done("backup", "verify")
    second = deploy("second", **variables)
    assert "restored" in second.done("backup", "restore")
    await second.check(contents)
