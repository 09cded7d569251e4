"""A secret that any process says fails the run, whatever kind of server it is, and wherever."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HTTP = "packages/juststorage-api/tests/integration/http"
SECRET = "js_0123456789ab_" + "x" * 43

# Read by every Python that the tests start: an access log as nobody may ever write it.
LEAK = """
import sys

if "pytest" not in sys.orig_argv:
    from juststorage_api._access_log import AccessLog

    write = AccessLog.write

    def written(self, exchange, seconds):
        what = str(exchange.fields)
        {how}
        write(self, exchange, seconds)

    AccessLog.write = written
"""
LOGGED = 'exchange.facts["fields"] = what'
PRINTED = "print(what, flush=True)"

# What a test may do with the outputs of a process: each of these says a secret, but the last one.
PROCESSES = f'''
import subprocess
import sys
import threading
from subprocess import DEVNULL, PIPE, Popen

import pytest

from tests.harness import on_terminal

HALVES = "{SECRET[:20]}", "{SECRET[20:]}"


def says(name, **options):
    program = f"import sys; sys.{{name}}.write(sys.argv[1] + sys.argv[2] + chr(10))"
    return Popen([sys.executable, "-c", program, *HALVES], **options)


@pytest.mark.parametrize("name", ["stdout", "stderr"])
class TestSaid:
    def test_to_the_terminal(self, name):
        assert says(name).wait() == 0

    def test_to_nobody(self, name):
        assert says(name, **{{name: DEVNULL}}).wait() == 0

    def test_to_a_file(self, name, tmp_path):
        with (tmp_path / "log").open("w") as log:
            process = says(name, **{{name: log}})
        assert process.wait() == 0

    def test_below_what_a_file_had(self, name, tmp_path):
        (tmp_path / "log").write_text("before")
        with (tmp_path / "log").open("a") as log:
            process = says(name, **{{name: log.fileno()}})
        assert process.wait() == 0
        assert (tmp_path / "log").read_text().startswith("beforejs_")

    def test_to_one_who_asks_for_all(self, name):
        assert says(name, stdout=PIPE, stderr=PIPE).communicate()

    def test_to_a_reader_of_lines(self, name):
        process = says(name, **{{name: PIPE}}, text=True)
        stream = getattr(process, name)
        reader = threading.Thread(target=list, args=[stream])
        reader.start()
        assert process.wait() == 0
        reader.join()
        stream.close()

    def test_to_a_reader_of_bytes(self, name):
        with says(name, **{{name: PIPE}}, bufsize=0) as process:
            assert len(getattr(process, name).read(20)) == 20

    def test_to_one_who_does_not_read(self, name):
        process = says(name, **{{name: PIPE}})
        assert process.wait() == 0
        getattr(process, name).close()

    def test_to_one_who_reads_too_little(self, name):
        process = says(name, **{{name: PIPE}})
        assert process.wait() == 0
        stream = getattr(process, name)
        assert stream.read(10)
        stream.close()

    def test_to_one_who_watches(self, name, tmp_path):
        words = ["plugins", "show", "".join(HALVES)]
        on_terminal(words, cwd=tmp_path, env={{}}, stdout_too=True)


def test_of_a_name_of_an_object():
    path = "/v1/objects/by-key/ns/acme/" + "".join(HALVES)
    said = subprocess.run([sys.executable, "-c", f"print({{path!r}})"], capture_output=True)
    assert said.stdout
'''


def outcome(place: Path, *words: str, variables: dict[str, str] | None = None) -> tuple[int, str]:
    """Run pytest on something; its exit code, and what it says, without what it heard."""
    environment = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
    options = ["-q", "-n0", "--show-capture=no", "-p", "no:cacheprovider", "--basetemp"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, str(place / "inner"), *words],
        cwd=ROOT,
        env=environment | (variables or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("how", "suite"),
    [
        (LOGGED, "tests/e2e/test_embedded.py::test_an_object_from_its_first_byte_to_its_last"),
        (LOGGED, f"{HTTP}/test_access.py::test_every_call_needs_its_scope"),
        (PRINTED, "tests/serve/test_logs.py::test_a_part_of_the_access_lines"),
    ],
    ids=["end to end", "HTTP suite", "harness"],
)
def test_a_server_that_logs_keys(how: str, suite: str, tmp_path: Path) -> None:
    """The tests of it pass, and the run fails all the same."""
    (tmp_path / "sitecustomize.py").write_text(LEAK.format(how=how))
    code, said = outcome(tmp_path, suite, variables={"PYTHONPATH": str(tmp_path)})
    assert "output of a process: it has a secret" in said
    assert code == 1


def test_every_way_in_which_a_test_may_leave_an_output(tmp_path: Path) -> None:
    """Inherited, thrown away, in a file, in a pipe that is read, or is not, and on a terminal."""
    (tmp_path / "test_processes.py").write_text(PROCESSES)
    code, said = outcome(
        tmp_path,
        *("-c", "pyproject.toml", "--rootdir", ".", "-p", "tests.listening"),
        str(tmp_path / "test_processes.py"),
    )
    assert code == 1
    counted = re.search(r"(\d+) failed, (\d+) passed", said)
    assert counted is not None, said
    assert counted.groups() == (str(PROCESSES.count("(self, name") * 2), "1"), said
    # Each of them, as what failed; what this process said itself is found at its teardown, too.
    failures = said.partition(" FAILURES ")[2]
    assert failures.count("it has a secret: js_01234...") == int(counted[1]), said
