"""docs/public-api.txt is what others may rely on."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import pytest

from scripts.public_api import MODULES, text

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs/public-api.txt"


def test_the_record_is_up_to_date() -> None:
    """A change of a public name or signature shows up in review; scripts/public-api writes it."""
    assert RECORD.read_text() == text(), "run scripts/public-api, and look at what changed"


@pytest.mark.parametrize(
    "package", sorted(path.parent.name for path in ROOT.glob("packages/*/src/*/__init__.py"))
)
def test_nothing_public_is_left_out(package: str) -> None:
    """Every module without an underscore that has an `__all__` of its own is recorded."""
    found = {package} | {
        module.name
        for module in pkgutil.walk_packages(
            importlib.import_module(package).__path__, f"{package}."
        )
        if not any(part.startswith("_") for part in module.name.split("."))
    }
    # What `juststorage.testing` offers is recorded there.
    recorded = {name for name in MODULES if name.split(".")[0] == package}
    assert found - {"juststorage.testing.contracts"} == recorded


def test_every_name_is_there() -> None:
    """`__all__` of a public module names nothing that cannot be imported."""
    for name in MODULES:
        module = importlib.import_module(name)
        assert [each for each in module.__all__ if not hasattr(module, each)] == []
