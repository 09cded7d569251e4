"""The supervisor, in a process of its own: it forks, and it blocks signals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PRELUDE = """
import logging, os, signal, sys
from juststorage.errors import BackendError, JustStorageError, Misconfigured, Unavailable
from juststorage_api._serve._supervisor import Supervisor

logging.basicConfig(format="%(message)s", stream=sys.stdout)

def end_on_sigterm():
    # It is blocked until here. Not with a handler: one that comes just before a pause is missed.
    signal.sigwait({signal.SIGTERM})
    os._exit(0)

"""
POSTLUDE = """
try:
    code = Supervisor(2, work, drain_timeout_s=DRAIN, pause_s=0.001).run()
except Misconfigured as error:
    print("refused:", error)
    code = 2
try:
    os.waitpid(-1, os.WNOHANG)
    print("a worker is left")
except ChildProcessError:
    pass
sys.exit(code)
"""


def supervise(tmp_path: Path, work: str, *, drain_s: float = 10) -> tuple[int, str]:
    """Run two workers that do `work`; the exit code and what was printed."""
    script = tmp_path / "supervised.py"
    script.write_text(f"{PRELUDE}DRAIN = {drain_s}\n{work}{POSTLUDE}")
    ran = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stderr == ""
    assert "a worker is left" not in ran.stdout
    return ran.returncode, ran.stdout


class TestFailing:
    def test_a_worker_that_cannot_start_stops_all(self, tmp_path: Path) -> None:
        """Its own words are told, once, and the other worker ends too."""
        work = (
            "def work(link):\n"
            "    if link.index == 0:\n"
            "        raise Unavailable('the database does not answer')\n"
            "    link.ready()\n"
            "    end_on_sigterm()\n"
        )
        assert supervise(tmp_path, work) == (2, "refused: the database does not answer\n")

    def test_all_workers_that_cannot_start_are_told_once(self, tmp_path: Path) -> None:
        """Two workers with the same trouble make one line."""
        work = "def work(link):\n    raise Misconfigured('metadata.backend: no')\n"
        assert supervise(tmp_path, work) == (2, "refused: metadata.backend: no\n")

    def test_the_cause_of_a_broken_backend_is_told(self, tmp_path: Path) -> None:
        """What a plugin raised by mistake is part of the line: nothing else shows it."""
        work = (
            "def work(link):\n"
            "    raise BackendError('metadata: broken', plugin='m') from KeyError('pool')\n"
        )
        code, printed = supervise(tmp_path, work)
        assert code == 2
        assert printed == "refused: metadata: broken: KeyError: 'pool'\n"

    @pytest.mark.parametrize(
        ("end", "how"),
        [("os._exit(7)", "exit code 7"), ("os.kill(os.getpid(), signal.SIGKILL)", "SIGKILL")],
    )
    def test_a_worker_that_vanishes_before_it_is_ready(
        self, tmp_path: Path, end: str, how: str
    ) -> None:
        """Dying without a word while starting stops all: trying again would loop."""
        code, printed = supervise(tmp_path, f"def work(link):\n    {end}\n")
        assert code == 2
        assert how in printed

    def test_workers_that_keep_dying_end_the_service(self, tmp_path: Path) -> None:
        """After five replacements within a minute the parent gives up, with exit code 1."""
        work = "def work(link):\n    link.ready()\n    os._exit(3)\n"
        code, printed = supervise(tmp_path, work)
        assert code == 1
        assert printed.count("starting another") == 5
        assert "giving up" in printed

    def test_a_bug_in_a_worker_is_a_traceback_in_the_log(self, tmp_path: Path) -> None:
        """What nobody foresaw is told in full, by the worker."""
        work = "def work(link):\n    link.ready()\n    raise ZeroDivisionError('a bug')\n"
        code, printed = supervise(tmp_path, work)
        assert code == 1
        assert "ZeroDivisionError: a bug" in printed


class TestReplacing:
    def test_a_replacement_may_fail_to_start(self, tmp_path: Path) -> None:
        """A replacement that cannot start is tried again: the others still serve."""
        work = (
            "def work(link):\n"
            "    if link.index == 1:\n"
            "        link.ready()\n"
            "        end_on_sigterm()\n"
            "    marker = 'attempts'\n"
            "    with open(marker, 'a') as file:\n"
            "        file.write('x')\n"
            "    attempt = os.path.getsize(marker)\n"
            "    if attempt == 2:\n"
            "        raise Unavailable('not now')\n"
            "    link.ready()\n"
            "    if attempt == 1:\n"
            "        os._exit(3)\n"
            "    os.kill(os.getppid(), signal.SIGTERM)\n"
            "    end_on_sigterm()\n"
            f"os.chdir({str(tmp_path)!r})\n"
        )
        code, printed = supervise(tmp_path, work)
        assert code == 0
        assert "ended with exit code 3; starting another" in printed
        assert "could not start: not now; starting another" in printed

    def test_the_first_life_is_told_from_the_next(self, tmp_path: Path) -> None:
        """A replacement knows that it is one: it does not announce the service again."""
        work = (
            "def work(link):\n"
            "    link.ready()\n"
            "    if link.index == 0 and not link.is_first_life:\n"
            "        os.kill(os.getppid(), signal.SIGTERM)\n"
            "    elif link.index == 0:\n"
            "        os._exit(1)\n"
            "    end_on_sigterm()\n"
        )
        assert supervise(tmp_path, work)[0] == 0


class TestStopping:
    def test_a_signal_before_anything_is_ready(self, tmp_path: Path) -> None:
        """SIGTERM to workers that have no handlers yet waits for them, and the end is well."""
        work = (
            "def work(link):\n"
            "    os.kill(os.getppid(), signal.SIGTERM)\n"
            "    signal.sigwait({signal.SIGTERM})\n"
            "    return 0\n"
        )
        assert supervise(tmp_path, work)[0] == 0

    def test_a_worker_that_ends_badly_is_not_hidden(self, tmp_path: Path) -> None:
        """When a worker fails while it stops, the exit code says so."""
        work = (
            "def work(link):\n"
            "    link.ready()\n"
            "    if link.index == 0:\n"
            "        os.kill(os.getppid(), signal.SIGTERM)\n"
            "    signal.sigwait({signal.SIGTERM})\n"
            "    return link.index\n"
        )
        assert supervise(tmp_path, work)[0] == 1

    def test_a_worker_that_does_not_end_is_killed(self, tmp_path: Path) -> None:
        """After the drain timeout and a margin a worker that hangs is killed; the code is 1."""
        work = (
            "def work(link):\n"
            "    link.ready()\n"
            "    if link.index == 0:\n"
            "        os.kill(os.getppid(), signal.SIGTERM)\n"
            "    while True:\n"
            "        signal.pause()\n"
        )
        # A negative drain timeout takes the margin away: the test need not wait for it.
        code, printed = supervise(tmp_path, work, drain_s=-9.9)
        assert code == 1
        assert "are killed" in printed

    def test_a_parent_that_is_gone_is_an_end_of_file(self, tmp_path: Path) -> None:
        """A worker reads the end of its pipe when its parent is killed."""
        work = (
            "def work(link):\n"
            "    link.ready()\n"
            "    if link.index == 1:\n"
            "        os.kill(os.getppid(), signal.SIGKILL)\n"
            "    assert os.read(link.parent, 1) == b''\n"
            # One write: the words of two prints may mix.
            "    os.write(1, b'orphan %d\\n' % link.index)\n"
            "    return 0\n"
        )
        code, printed = supervise(tmp_path, work)
        assert code == -9
        assert sorted(printed.split("\n")) == ["", "orphan 0", "orphan 1"]
