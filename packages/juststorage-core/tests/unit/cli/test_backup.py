"""`juststorage backup` in memory: what it prints, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from juststorage.cli._backup import _counted
from juststorage.cli._main import juststorage
from juststorage.errors import Misconfigured
from juststorage.usecases import (
    BackupReport,
    BackupTarget,
    Damage,
    Manifests,
    RestoreBackup,
    UnreadableManifest,
    VerifyBackup,
)


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Runs `juststorage backup` on a configuration of memory backends."""
    file = tmp_path / "juststorage.toml"
    file.write_text(
        'metadata.backend = "memory"\nblobs.hot.backend = "memory"\nauth.chain = []\n'
        'backup.contents.backend = "memory"\nbackup.manifests.backend = "memory"\n'
        f'data_dir = "{tmp_path}"\n'
    )

    def invoke(command: str, *words: str) -> Result:
        words = ("backup", command, "--config", str(file), *words)
        return CliRunner().invoke(juststorage, words)

    return invoke


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Manifests that outlive a command, as those of a target that is no memory would."""
    manifests: list[Any] = []

    async def put(self: BackupTarget, manifest: Any) -> None:
        manifests.append(manifest)

    async def listed(self: BackupTarget) -> Manifests:
        return Manifests(list(manifests), [])

    monkeypatch.setattr(BackupTarget, "put_manifest", put)
    monkeypatch.setattr(BackupTarget, "manifests", listed)
    return manifests


def test_nothing_is_there(run: Any) -> None:
    """Who asks for a back-up where none is gets a sentence."""
    for command in ("verify", "restore"):
        result = run(command)
        assert (result.exit_code, result.stderr) == (1, "juststorage: there is no backup here\n")
    assert run("list").stdout.split() == ["ID", "TAKEN", "AT", "OBJECTS", "BLOBS", "DAMAGED"]


@pytest.mark.usefixtures("kept")
def test_its_log_has_the_form_of_a_server_s(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hold that could not be released is a line of JSON with its traceback, as `[log]` says."""
    from juststorage.errors import Unavailable
    from juststorage.plugins.memory._backups import MemoryBackupRepository

    async def release(*_: Any) -> None:
        raise Unavailable("the database is away")

    monkeypatch.setattr(MemoryBackupRepository, "release", release)
    result = run("create")
    assert result.exit_code == 0, result.output
    [line] = [json.loads(each) for each in result.stderr.splitlines()]
    assert (line["level"], line["target"]) == ("WARN", "juststorage.backup")
    assert line["message"] == "hold_not_released"
    assert "the database is away" in line["exception"]


def test_all_of_nothing(run: Any, kept: list[Any]) -> None:
    """Created, listed, verified and restored; as text and as JSON."""
    created = run("create")
    assert (created.exit_code, len(kept)) == (0, 1), created.output
    assert created.stdout.endswith("of 0 objects: 0 contents copied (0 B), 0 were there\n")
    report = json.loads(run("create", "--json").stdout)
    assert report["missing_count"] == 0
    assert len(run("list").stdout.splitlines()) == 3
    assert [json.loads(line)["id"] for line in run("list", "--json").stdout.splitlines()] == [
        each.id for each in kept
    ]
    assert run("verify").stdout == f"backup {report['id']} of 0 objects: whole\n"
    assert json.loads(run("verify", "--json").stdout) == {"id": report["id"], "damages": 0}
    assert "0 objects restored" in run("restore").stdout
    assert json.loads(run("restore", "--json").stdout)["ended"]


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_damage_is_told(
    run: Any, kept: list[Any], monkeypatch: pytest.MonkeyPatch, flags: list[str]
) -> None:
    """Each on a line of its own, and by the exit code."""
    run("create")

    async def damages(self: VerifyBackup, manifest: Any) -> Any:
        yield Damage(subject="sha256:00", detail="it is not in the backup")
        yield Damage(subject="sha256:11", detail="its bytes do not have its hash", discarded=True)

    async def restored(self: RestoreBackup, manifest: Any) -> Any:
        from juststorage.usecases import RestoreReport

        return RestoreReport(
            id="x",
            continued=False,
            records={"objects": 1},
            missing=["hot/x: y"],
            missing_count=1001,
        )

    monkeypatch.setattr(VerifyBackup, "run", damages)
    monkeypatch.setattr(RestoreBackup, "run", restored)
    result = run("verify", *flags)
    assert result.exit_code == 1 and "sha256:11" in result.stdout
    assert flags or result.stdout.endswith(": 2 damaged\n")
    result = run("restore", *flags)
    assert result.exit_code == 1
    assert result.stderr.splitlines() == [
        "juststorage: missing: hot/x: y",
        "juststorage: missing: 1001 in all",
    ]
    assert flags or "1 object not restored yet" in result.stdout


def test_what_was_not_backed_up_is_told(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backup of a damaged service is one, and its exit code is 1."""
    from datetime import UTC, datetime

    from juststorage.usecases import CreateBackup

    async def created(self: CreateBackup) -> BackupReport:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        return BackupReport(id="x", taken_at=now, records={}, missing=["hot/x"], missing_count=1)

    monkeypatch.setattr(CreateBackup, "run", created)
    result = run("create")
    assert (result.exit_code, result.stderr) == (1, "juststorage: not backed up: hot/x\n")


def test_damaged_manifests_are_told(
    run: Any, kept: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside those that can be read; which is the newest is unknown, so one has to be named."""
    run("create")
    damaged = UnreadableManifest(locator="aa/bb", detail="it is cut short", is_damaged=True)

    async def listed(self: BackupTarget) -> Manifests:
        return Manifests(list(kept), [damaged])

    monkeypatch.setattr(BackupTarget, "manifests", listed)
    told = "juststorage: a manifest cannot be read: aa/bb: it is cut short\n"
    result = run("list")
    assert (result.exit_code, result.stderr) == (1, told)
    for command in ("verify", "restore"):
        result = run(command, "--json")
        assert (result.exit_code, "name the backup" in result.stderr) == (1, True)
        assert json.loads(result.stdout)["error"]["code"] == "backup_unreadable"
        result = run(command, "--id", kept[0].id)
        assert (result.exit_code, result.stderr) == (0, told)
    result = run("verify", "--discard-damaged")
    assert result.stdout.splitlines() == [
        "aa/bb: it is cut short (discarded)",
        f"backup {kept[0].id}: 1 damaged",
    ]
    assert (result.exit_code, result.stderr) == (1, "")


def test_places_that_are_none(run: Any, tmp_path: Path) -> None:
    """A directory that is missing, one without backups, and nothing said at all."""
    result = run("create", str(tmp_path / "gone"))
    assert result.exit_code == 2 and "mount its volume" in result.stderr
    result = run("verify", str(tmp_path))
    assert result.exit_code == 1 and "there is no backup in" in result.stderr
    file = tmp_path / "juststorage.toml"
    file.write_text(file.read_text().replace('backup.contents.backend = "memory"\n', ""))
    result = run("create")
    assert result.exit_code == 2 and "backup.contents.backend is not set" in result.stderr


@pytest.mark.parametrize(
    ("data_dir", "directory"),
    [("d", "d"), ("d", "d/x/../x"), ("d", "link"), ("d/contents", "d"), ("d/manifests/x", "d")],
)
def test_the_service_s_own_directory_is_no_place(
    run: Any, tmp_path: Path, data_dir: str, directory: str
) -> None:
    """Nor what is in it, nor one whose parts would be in its place; and nothing is made."""
    (tmp_path / "d" / "x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("d")
    file = tmp_path / "juststorage.toml"
    file.write_text(file.read_text().replace(f'"{tmp_path}"', f'"{tmp_path / data_dir}"'))
    result = run("create", str(tmp_path / directory), "--json")
    assert result.exit_code == 2 and "a directory of their own" in result.stderr
    assert json.loads(result.stdout)["error"]["code"] == "misconfigured"
    assert [each.name for each in (tmp_path / "d").iterdir()] == ["x"]


def test_a_volume_that_is_mounted_below_is_a_place(tmp_path: Path) -> None:
    """It is another filesystem: what happens to the one does not happen to the other."""
    from juststorage.runtime._backing_up import require_apart

    with pytest.raises(Misconfigured):
        require_apart(tmp_path / "b", tmp_path, device_of=lambda path: 1)
    require_apart(tmp_path / "b", tmp_path, device_of=lambda path: len(path.parts))
    with pytest.raises(Misconfigured):
        require_apart(tmp_path, tmp_path, device_of=lambda path: len(path.parts))


def test_how_many_there_are() -> None:
    """One is one object."""
    assert (_counted({"objects": 1}), _counted({})) == ("1 object", "0 objects")
