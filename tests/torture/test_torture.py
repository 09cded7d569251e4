"""Every experiment, short: long enough to break what is broken often."""

from __future__ import annotations

from pathlib import Path

import pytest

from juststorage.testing import do_without
from tests.harness import SECRETS
from tests.torture.__main__ import EXPERIMENTS, find
from tests.torture.clock import library
from tests.torture.experiment import Run
from tests.torture.service import API_KEY
from tests.torture.service import STORES as ALL_STORES

SECONDS = {
    "crash": 10,
    "kill": 8,
    "interleave": 10,
    "disk": 10,
    "power": 8,
    "freeze": 10,
    "database": 14,
    "model": 8,
    "hostile": 12,
    "bucket": 6,
    "partition": 8,
    "history": 5,
    "clocks": 6,
    "soak": 5,
}
STORES = {
    "crash": ("sqlite",),
    "kill": ("postgres",),
    "power": ("sqlite",),
    "freeze": ("postgres",),
    "model": ("sqlite",),
    "history": ("postgres",),
    "soak": ("postgres",),
}
"""To begin on one store costs as much as the experiment itself; what they do on the other is mostly
the same, and is for longer runs."""

DONE = {
    "crash": "killed and clean on ",
    "kill": "SIGKILLs of ",
    "interleave": "orders",
    "disk": "uploads ",
    "power": "power cuts ",
    "freeze": "frozen and clean on ",
    "database": "failovers to a synchronous standby",
    "model": "steps",
    "hostile": "requests over a limit",
    "bucket": "faults on ",
    "partition": "faults: ",
    "history": "operations in histories",
    "clocks": "steps forward of the database by a day",
    "soak": "operations",
}
"""How a count begins that is above 0 only where an experiment did what it is for, and is so on any
machine: others need a second step, or some luck."""

IN_PROCESS = {"interleave", "power"}
"""Experiments without a process of `juststorage`."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_short_experiment_breaks_no_promise(tmp_path: Path, name: str) -> None:
    """Whatever is done to the service, acknowledged means for ever, and nothing is left over."""
    if name == "clocks" and library() is None:
        do_without("faketime", "there is no libfaketime: install Debian's package of this name")
    run = Run(tmp_path, 1, SECONDS[name], STORES.get(name, ALL_STORES))
    try:
        counts = find(name)(run)
    finally:
        print(f"repeat with: {run.again(name)}")
    assert sum(n for what, n in counts.items() if what.startswith(DONE[name])) > 0, counts
    assert bool(lines_without_secrets(tmp_path)) is (name not in IN_PROCESS)


def lines_without_secrets(folder: Path) -> int:
    """How much servers, collectors and commands of an experiment wrote into their logs.

    Raises:
        AssertionError: There is a secret in it.
    """
    lines = 0
    for log in folder.rglob("*.log"):
        text = log.read_text(errors="replace")
        assert API_KEY not in text, log
        assert SECRETS.search(text) is None, log
        lines += text.count("\n")
    return lines


def test_a_secret_in_a_log_of_the_torture_is_found(tmp_path: Path) -> None:
    """The key of an experiment, and one that a service issued, in any file of any process."""
    log = tmp_path / "sqlite" / "torture.log"
    log.parent.mkdir()
    for secret in (API_KEY, f"js_{12 * 'a'}_{43 * 'b'}", "postgresql://u:password@/db"):
        log.write_text(f"before\n{secret}\n")
        with pytest.raises(AssertionError, match=r"torture\.log"):
            lines_without_secrets(tmp_path)
    log.write_text("nothing\n")
    assert lines_without_secrets(tmp_path) == 1
