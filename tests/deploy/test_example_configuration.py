"""The configuration in `deploy/` names only what exists."""

from __future__ import annotations

import re
from pathlib import Path

from click.testing import CliRunner, Result

from juststorage.cli._main import juststorage

EXAMPLE = Path(__file__).parents[2] / "deploy" / "juststorage.toml"


def check(folder: Path, text: str) -> Result:
    """`config check` of this text, with secrets of the test's own."""
    for name, content in (
        ("database-url", "postgresql://juststorage:secret@db/juststorage"),
        ("admin-key", "a-key-of-more-than-twenty-characters"),
    ):
        secret = folder / name
        secret.write_text(f"{content}\n")
        text = text.replace(f"/run/secrets/juststorage/{name}", str(secret))
    config = folder / "juststorage.toml"
    config.write_text(text)
    return CliRunner().invoke(juststorage, ["config", "check", "--config", str(config)])


def test_the_example_binds_every_option(tmp_path: Path) -> None:
    """`config check` accepts the file, and shows no secret of it."""
    result = check(tmp_path, EXAMPLE.read_text())
    assert result.exit_code == 0, result.output
    assert re.search(r"^metadata: postgres ", result.stdout, re.MULTILINE)
    assert "a-key-of" not in result.output


def test_a_misspelt_option_of_the_example_is_heard(tmp_path: Path) -> None:
    """The check above can fail: one letter off is exit code 2 and a hint."""
    result = check(tmp_path, EXAMPLE.read_text().replace("pool_size", "pool_sise"))
    assert result.exit_code == 2
    assert "pool_size" in result.stderr
