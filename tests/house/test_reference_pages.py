"""docs/reference says what the code says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "docs/reference"
PAGES = ("commands", "configuration", "http")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as the code has them now."""
    pages = tmp_path_factory.mktemp("pages")
    program = ROOT / "scripts/reference/write_reference.py"
    subprocess.run([sys.executable, program, pages], check=True)
    return pages


@pytest.mark.parametrize("page", PAGES)
def test_the_committed_page_is_that_of_the_code(made: Path, page: str) -> None:
    """An option, a command or a call changed: scripts/reference-pages."""
    written = (made / f"{page}.md").read_text()
    assert written == (COMMITTED / f"{page}.md").read_text(), "run scripts/reference-pages"


def test_every_option_is_described_with_its_variable(made: Path) -> None:
    """Compared with the schema, which the file is checked by; no meaning is empty."""
    text = (made / "configuration.md").read_text()
    command = [Path(sys.executable).with_name("juststorage"), "config", "schema"]
    schema = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    variables = {name.replace("__COLD__", "__HOT__", 1) for name in _variables(schema, ())}
    assert len(variables) > 100
    assert [name for name in sorted(variables) if f"`{name}`" not in text] == []
    rows = [line for line in text.splitlines() if "<br>`JUSTSTORAGE__" in line]
    assert [row for row in rows if "| <br>" in row] == []


def _variables(node: dict[str, object], place: tuple[str, ...]) -> list[str]:
    found: list[str] = []
    properties = node.get("properties")
    assert isinstance(properties, dict)
    for name, each in properties.items():
        if each.get("type") == "object" and "properties" in each:
            below = _variables(each, (*place, name))
            # `cold` has its own selector, and its backends the options of those of `hot`.
            found += [name for name in below if name != "JUSTSTORAGE__BLOBS__COLD__BACKEND"]
        else:
            found.append("JUSTSTORAGE__" + "__".join((*place, name)).upper())
    return found


def test_every_call_has_a_section(made: Path) -> None:
    """And every error that any of them may answer with, a row."""
    document = json.loads((ROOT / "docs/openapi.json").read_text())
    text = (made / "http.md").read_text()
    for path, methods in document["paths"].items():
        for method in methods:
            assert f"```http\n{method.upper()} {path}\n```" in text
    for code in document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"]:
        assert f" | `{code}` | " in text


def test_every_command_has_a_section(made: Path) -> None:
    """Those that the help names, and their examples."""
    text = (made / "commands.md").read_text()
    for command in ("serve", "gc run", "keys revoke", "objects put", "migrate sql", "plugins new"):
        section = text.partition(f"# juststorage {command}\n")[2].partition("\n#")[0]
        assert f"```sh\njuststorage {command}" in section or f"\njuststorage {command}" in section
        assert "Exit codes" in section
