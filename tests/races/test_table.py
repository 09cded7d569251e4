"""The table of races: complete, and true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.races.guards import MUTATIONS, Mutation
from tests.races.stores import LEFT_OUT, RACES, STORES
from tests.torture.guards import GUARDS

HERE = Path(__file__).parent
PACKAGES = HERE.parents[1] / "packages"
README = (HERE / "README.md").read_text()


def race_tests() -> dict[str, bool]:
    """Every test of a race: its name, and whether it runs on the stores."""
    found = {}
    for path in HERE.glob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.AsyncFunctionDef) and re.match(r"test_r\d\d_", node.name):
                found[node.name] = any(each.arg == "world" for each in node.args.args)
    return found


def test_every_race_has_a_test_on_every_store() -> None:
    """A store has a race, or the table of stores says why it cannot."""
    tests = race_tests()
    assert all(tests.values())
    for race in RACES:
        named = [name for name in tests if name.startswith(f"test_{race.lower()}_")]
        assert named, race
        for store in STORES:
            left_out = [
                name
                for name in named
                if any(name.startswith(begin) and store in why for begin, why in LEFT_OUT.items())
            ]
            whole_race = store in LEFT_OUT.get(f"test_{race.lower()}", {})
            assert whole_race or len(left_out) < len(named), (race, store)


def test_what_is_left_out_exists() -> None:
    """The table of stores names tests and stores that there are."""
    tests = race_tests()
    for begin, why in LEFT_OUT.items():
        assert any(name.startswith(begin) for name in tests), begin
        assert set(why) <= set(STORES)


def test_the_readme_names_every_race_and_test() -> None:
    """Nothing is missing from the table that people read, and nothing in it is made up."""
    named = set(re.findall(r"`(test_r\d\d_\w+)`", README))
    assert named == set(race_tests())
    assert re.findall(r"^\| (R\d\d) \|", README, re.M) == RACES


@pytest.mark.parametrize("guard", [*MUTATIONS, *GUARDS], ids=lambda guard: guard.guard)
def test_every_guard_can_be_taken_away(guard: Mutation) -> None:
    """What `scripts/mutations` changes is there, once: the source may have moved on."""
    assert (PACKAGES / guard.path).read_text().count(guard.old) == 1
    assert guard.new != guard.old
