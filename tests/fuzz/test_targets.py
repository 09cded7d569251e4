"""A short run of each target, and of what must be noticed: crashes that are planted."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from time import thread_time

import pytest
from hypothesis import strategies as st

from juststorage.errors import Invalid
from juststorage_api._http.percent import decode
from tests.fuzz.__main__ import targets
from tests.fuzz.fuzzing import MEMORY_BYTES, Crash, Target, batch, once

ROOT = Path(__file__).parents[2]
ALL = targets()


@pytest.mark.parametrize("name", ALL)
def test_no_input_is_a_crash(name: str) -> None:
    """A few of them, the same ones at each run: `scripts/fuzz` tries others, and more."""
    counts: Counter[str] = Counter()
    batch(ALL[name], 1, 20, counts)
    assert counts["inputs"] >= 20


def a_trace(value: bytes) -> str | None:
    """Does not expect what is not UTF-8."""
    return value.decode() and None


def a_wrong_error(value: bytes) -> str | None:
    """Lets through an error that HTTP makes 500 of."""
    return decode(value) and None


def a_wrong_value(value: bytes) -> str | None:
    """Reads another thing than what was written."""
    if b"\x80" > value[:1] > b"\x10":
        assert value.strip() == value
    return None


def a_hang(value: bytes) -> str | None:
    """Never ends."""
    while value[:1] > b"\x10":
        pass
    return None


def a_hang_that_hides(value: bytes) -> str | None:
    """Catches all that it can."""
    while value[:1] > b"\x10":
        try:
            thread_time()
        except Exception:  # noqa: BLE001
            continue
    return None


def a_bomb(value: bytes) -> str | None:
    """Takes a GiB for each byte that it was given."""
    return str(len(bytearray(2 * len(value) * MEMORY_BYTES))) and None


PLANTED = {
    a_trace: ("UnicodeDecodeError", 1, 1.0),
    a_wrong_error: ("ValueError", 1, 1.0),
    a_wrong_value: ("AssertionError", 2, 1.0),
    a_hang: ("took over 0.02 s of the processor", 1, 0.02),
    a_hang_that_hides: ("took over 0.02 s of the processor", 1, 0.02),
    a_bomb: ("MemoryError", 2, 1.0),
}
"""What is told, how long the simplest input is, and the processor time of an input: of a hang that
is made simpler each try takes all of it."""


@pytest.mark.parametrize("parser", PLANTED, ids=lambda parser: parser.__name__)
def test_a_planted_crash_is_found(parser) -> None:  # type: ignore[no-untyped-def]
    """Its input is made as simple as it gets, and does the same when it is given alone."""
    told, size, cpu_s = PLANTED[parser]
    target = Target(st.binary(max_size=100), parser)
    with pytest.raises(Crash, match=told) as found:
        batch(target, 1, 1000, Counter(), cpu_s=cpu_s)
    assert len(found.value.value) <= size
    with pytest.raises(Crash, match=told):
        once(target, found.value.value, cpu_s=cpu_s)


def test_a_refusal_that_is_declared_is_none() -> None:
    """Counted by its code; so is what is read."""

    def parse(value: bytes) -> str | None:
        if value:
            raise Invalid("no")
        return None

    counts: Counter[str] = Counter()
    batch(Target(st.binary(max_size=9), parse), 1, 50, counts)
    assert counts == {"inputs": 50, "refused: invalid_request": 49, "read": 1}


def test_equal_seeds_give_equal_inputs() -> None:
    """A batch is repeated by its seed alone."""

    def given(seed: int) -> list[bytes]:
        seen: list[bytes] = []
        batch(Target(st.binary(max_size=9), seen.append), seed, 50, Counter())
        return seen

    assert given(1) == given(1) != given(2)


_PLANTED = """
import sys
from hypothesis import strategies as st
from tests.fuzz import __main__, fuzzing

def read(value):
    assert value < 10**6

inputs = st.integers(0, 2 * 10**6)
__main__.targets = lambda: {"planted": fuzzing.Target(inputs, read)}
sys.argv[0] = "scripts/fuzz"
__main__.main()
"""


def _fuzz(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _PLANTED, *words]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_what_a_crash_prints_repeats_it() -> None:
    """The input as a literal, and a command that gives it alone."""
    ended = _fuzz("--minutes", "1", "planted")
    assert ended.returncode == 1, ended.stdout
    told = ended.stderr.splitlines()
    assert told[0].startswith("CRASH: AssertionError"), told
    assert told[1:] == ["input: 1000000", "repeat with: scripts/fuzz --input 1000000 planted"]
    again = _fuzz("--input", "1000000", "planted")
    assert again.stderr.splitlines() == told
    assert _fuzz("--input", "5", "planted").stdout == "read\n"


def test_a_name_that_no_target_has_is_told() -> None:
    """Nothing was tried, which must not look like nothing was found."""
    ended = _fuzz("nothing")
    assert "there is no target nothing" in ended.stderr
    assert ended.returncode == 2
