"""`juststorage keys` on an embedded store: what it creates works, what it revokes does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import pytest
from click.testing import CliRunner, Result

from juststorage.cli._main import juststorage
from juststorage.config import Config
from juststorage.domain import ApiKey, ApiKeySecret, ObjectId
from juststorage.runtime import open_runtime


class Machine:
    """An operator at a machine with a data directory."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir

    def run(self, *arguments: str, code: int = 0) -> Result:
        """Run a subcommand of `keys`."""
        command = ["keys", *arguments, "--data-dir", str(self._data_dir)]
        result = CliRunner().invoke(juststorage, command)
        assert result.exit_code == code, result.output
        return result

    def create(self, *arguments: str) -> tuple[str, dict[str, Any]]:
        """A key, and its document."""
        result = self.run("create", "--name", "n", "--json", *arguments)
        document = json.loads(result.stdout)
        return document.pop("key"), document

    def stored(self, text: str) -> ApiKey | None:
        """What the store has for a key."""
        config = Config.load(overrides={"data_dir": str(self._data_dir)}, environment={})

        async def find() -> ApiKey | None:
            async with open_runtime(config) as runtime:
                return await runtime.metadata.api_keys.find_by_hash(ApiKeySecret(text).hashed)

        return anyio.run(find)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Nothing is there yet."""
    return Machine(tmp_path / "data")


ADMIN = ("--all-tenants", "--scope", "admin")


def test_there_is_no_such_key(machine: Machine) -> None:
    """Showing and revoking are refused in one line; an id must be one."""
    machine.create(*ADMIN)
    for command in ("show", "revoke"):
        for key_id, said in ((ObjectId.new(), "no such API key"), ("x", "UUID")):
            result = machine.run(command, key_id, code=1)
            assert said in result.stderr
            assert result.stderr.count("\n") == 1


def test_looking_makes_no_store(machine: Machine, tmp_path: Path) -> None:
    """Only `create` may be the first to come: the others refuse, and leave nothing."""
    for arguments in (("list",), ("show", ObjectId.new()), ("revoke", ObjectId.new())):
        machine.run(*arguments, code=2)
    assert list(tmp_path.iterdir()) == []


def test_the_last_admin_key_cannot_be_revoked(machine: Machine) -> None:
    """Not by the operator either; once there is another one it can."""
    _, first = machine.create(*ADMIN)
    assert "last" in machine.run("revoke", first["id"], code=1).stderr
    machine.create(*ADMIN)
    machine.run("revoke", first["id"])


def test_changes_are_in_the_audit_log(machine: Machine) -> None:
    """The events are those of the service, in the operator's name, on standard error."""
    created = machine.run("create", "--name", "n", "--tenant", "acme", "--scope", "objects:read")
    event, said = created.stderr.splitlines()
    key_id = said.split()[1].rstrip(";")
    fields = json.loads(event)["fields"]
    assert json.loads(event)["target"] == "juststorage.audit"
    assert (fields["action"], fields["outcome"]) == ("api_key.created", "done")
    assert (fields["subject"], fields["key_id"]) == ("operator", key_id)
    assert (fields["tenants"], fields["scopes"]) == (["acme"], ["objects:read"])
    assert created.stdout.strip() not in created.stderr
    [event] = machine.run("revoke", key_id).stderr.splitlines()
    assert json.loads(event)["fields"]["action"] == "api_key.revoked"


def test_without_an_audit_log_nothing_is_written(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the configuration turns off is off here, too."""
    monkeypatch.setenv("JUSTSTORAGE__AUDIT__LOG", "false")
    result = machine.run("create", "--name", "n", "--tenant", "acme", "--scope", "objects:read")
    assert len(result.stderr.splitlines()) == 1


def test_the_key_is_alone_on_standard_output(machine: Machine) -> None:
    """So that it can be put into a file; what people read is on standard error."""
    result = machine.run("create", "--name", "n", *ADMIN)
    assert ApiKeySecret.parse(result.stdout.removesuffix("\n")).prefix
    assert "not shown again" in result.stderr
    assert result.stdout.strip() not in result.stderr


def test_a_created_key_is_what_was_asked_for(machine: Machine) -> None:
    """Every option arrives, and the store has the hash of the printed key."""
    text, document = machine.create(
        *("--tenant", "acme", "--tenant", "globex", "--scope", "objects:read"),
        *("--scope", "keys:manage", "--namespace", "team-*", "--expires-in", "90d"),
    )
    assert document["tenants"] == ["acme", "globex"]
    assert document["scopes"] == ["keys:manage", "objects:read"]
    assert document["namespaces"] == ["team-*"]
    assert document["prefix"] == text[:15]
    stored = machine.stored(text)
    assert stored is not None and stored.id == document["id"]
    assert stored.expires_at is not None
    assert round((stored.expires_at - stored.created_at).total_seconds() / 86_400) == 90
    assert (stored.tenants, stored.is_active) == ({"acme", "globex"}, True)


def test_a_revoked_key_is_kept_and_useless(machine: Machine) -> None:
    """It leaves the list, but not the list of all."""
    machine.create(*ADMIN)
    text, document = machine.create("--tenant", "acme", "--scope", "objects:read")
    machine.run("revoke", document["id"])
    stored = machine.stored(text)
    assert stored is not None and not stored.is_active
    listed = json.loads(machine.run("list", "--json").stdout)
    assert document["id"] not in {each["id"] for each in listed}
    every = json.loads(machine.run("list", "--all", "--json").stdout)
    assert {**document, "is_active": False} in every
    assert "revoked" in machine.run("list", "--all").stdout
    assert json.loads(machine.run("show", document["id"], "--json").stdout)["is_active"] is False


def test_showing(machine: Machine) -> None:
    """A line for each member, for people; the document that `create` prints, with --json."""
    _, document = machine.create("--tenant", "acme", "--scope", "objects:read")
    assert json.loads(machine.run("show", document["id"], "--json").stdout) == document
    lines = machine.run("show", document["id"]).stdout.splitlines()
    shown = {name: value for name, _, value in (line.partition("  ") for line in lines)}
    assert {name.strip() for name in shown} == document.keys()
    told = {name.strip(): value.strip() for name, value in shown.items()}
    assert (told["id"], told["tenants"], told["scopes"]) == (document["id"], "acme", "objects:read")
    assert (told["namespaces"], told["last_used_at"], told["is_active"]) == ("-", "-", "yes")
    assert told["created_at"].startswith(document["created_at"][:19])


def test_revoking_as_json(machine: Machine) -> None:
    """What was revoked, also where another one could not be: that is told in the same document."""
    machine.create(*ADMIN)
    (_, one), (_, two), (_, three) = (machine.create(*ADMIN) for _ in range(3))
    told = json.loads(machine.run("revoke", one["id"], two["id"], "--json").stdout)
    assert told == {"revoked": [{**each, "is_active": False} for each in (one, two)]}
    result = machine.run("revoke", three["id"], ObjectId.new(), "--json", code=1)
    told = json.loads(result.stdout)
    assert told["revoked"] == [{**three, "is_active": False}]
    assert told["error"]["code"] == "not_found"
    assert "no such API key" in result.stderr


def test_no_key_is_ever_listed(machine: Machine) -> None:
    """Lists and documents have the prefix, which opens nothing."""
    text, document = machine.create(*ADMIN)
    for result in (
        machine.run("list"),
        machine.run("list", "--json"),
        machine.run("show", document["id"]),
        machine.run("show", document["id"], "--json"),
    ):
        assert text[:15] in result.stdout
        assert text[16:] not in result.stdout
