"""The configuration in `deploy/` names only what exists."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner

from juststorage.cli._main import juststorage

EXAMPLE = Path(__file__).parents[2] / "deploy" / "juststorage.toml"


def test_the_example_binds_every_option(tmp_path: Path) -> None:
    """`config check` accepts the file; only the paths of its secrets are this test's."""
    text = EXAMPLE.read_text()
    for name, content in (
        ("database-url", "postgresql://juststorage:secret@db/juststorage"),
        ("admin-key", "a-key-of-more-than-twenty-characters"),
    ):
        secret = tmp_path / name
        secret.write_text(f"{content}\n")
        text = text.replace(f"/run/secrets/juststorage/{name}", str(secret))
    config = tmp_path / "juststorage.toml"
    config.write_text(text)
    result = CliRunner().invoke(juststorage, ["config", "check", "--config", str(config)])
    assert result.exit_code == 0, result.output
    assert re.search(r"^metadata: postgres ", result.stdout, re.MULTILINE)
    assert "a-key-of" not in result.output


def test_a_misspelt_option_of_the_example_is_heard(tmp_path: Path) -> None:
    """The check above can fail: one letter off is exit code 2 and a hint."""
    config = tmp_path / "juststorage.toml"
    config.write_text(EXAMPLE.read_text().replace("pool_size", "pool_sise"))
    result = CliRunner().invoke(juststorage, ["config", "check", "--config", str(config)])
    assert result.exit_code == 2
    assert "pool_size" in result.stderr
