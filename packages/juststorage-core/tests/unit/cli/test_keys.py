"""`juststorage keys`: what is refused before a store is opened."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from juststorage.cli._main import juststorage


@pytest.fixture
def config(tmp_path: Path) -> str:
    """A configuration file of memory backends."""
    file = tmp_path / "juststorage.toml"
    file.write_text(
        'metadata.backend = "memory"\nblobs.hot.backend = "memory"\nauth.chain = []\n'
        f'data_dir = "{tmp_path}"\n'
    )
    return str(file)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--scope", "admin"], "--tenant"),
        (["--scope", "admin", "--tenant", "a", "--all-tenants"], "--tenant"),
        (["--scope", "everything", "--tenant", "a"], "objects:read"),
        (["--tenant", "a"], "--scope"),
        *(
            (["--scope", "admin", "--tenant", "a", "--expires-in", span], "90d")
            for span in ("", "90", "d", "0d", "-1d", "1y", "1.5d", "9999999s")
        ),
    ],
)
def test_usage_that_is_wrong(config: str, arguments: list[str], said: str) -> None:
    """Exit code 2, and a word about what would be right."""
    command = ["keys", "create", "--name", "n", "--config", config, *arguments]
    result = CliRunner().invoke(juststorage, command)
    assert result.exit_code == 2
    assert said in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("option", [["--tenant", "a/b"], ["--tenant", "a", "--namespace", "*"]])
def test_names_that_are_wrong(config: str, option: list[str]) -> None:
    """One line says what a name is."""
    command = ["keys", "create", "--name", "n", "--scope", "admin", "--config", config, *option]
    result = CliRunner().invoke(juststorage, command)
    assert result.exit_code == 1
    assert result.stderr.startswith("juststorage: ")
    assert result.stderr.count("\n") == 1


def test_keys_in_memory_are_nobodys(config: str) -> None:
    """A key created there would be gone with the command, so it is refused."""
    command = ["keys", "create", "--name", "n", "--scope", "admin", "--all-tenants"]
    result = CliRunner().invoke(juststorage, [*command, "--config", config])
    assert result.exit_code == 2
    assert "memory" in result.stderr
