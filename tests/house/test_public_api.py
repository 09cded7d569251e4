"""docs/public-api.txt is what others may rely on."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

import juststorage
from scripts.public_api import MODULES, text

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "docs/public-api.txt"


def test_the_record_is_up_to_date() -> None:
    """A change of a public name or signature shows up in review; scripts/public-api writes it."""
    assert RECORD.read_text() == text(), "run scripts/public-api, and look at what changed"


def test_nothing_public_is_left_out() -> None:
    """Every module of core without an underscore that has an `__all__` of its own is recorded."""
    found = {"juststorage"} | {
        module.name
        for module in pkgutil.walk_packages(juststorage.__path__, "juststorage.")
        if not any(part.startswith("_") for part in module.name.split("."))
    }
    # What `juststorage.testing` offers is recorded there.
    assert found - {"juststorage.testing.contracts"} == set(MODULES)


def test_every_name_is_there() -> None:
    """`__all__` of a public module names nothing that cannot be imported."""
    for name in MODULES:
        module = importlib.import_module(name)
        assert [each for each in module.__all__ if not hasattr(module, each)] == []
