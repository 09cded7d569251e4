"""Where the time of a small request goes, in microseconds of processor time: `benchmarks/stages`.

Three measurements of the same load are put together: the processor time that the kernel counts for
the service and for the database, the share of each part of the service's process (perf: all its
threads, by library), and the share of each stage of the Python part (py-spy: whoever holds the
interpreter lock, by the innermost function that belongs to a stage).
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from benchmarks.load import processes, small
from benchmarks.load.database import running_database
from benchmarks.load.server import Server

__all__ = ["main"]

_FILLED: Final = 1000
_SAMPLES_PER_S: Final = 500

_LIBRARIES: Final = (
    ("interpreter", r"libpython|python3"),
    ("kernel", r"kernel"),
    ("server, native (Granian)", r"_granian"),
    ("event loop, native (uvloop)", r"^loop\."),
    ("PostgreSQL driver, native (asyncpg)", r"^protocol\.|^pgproto\."),
    ("encoding, native (msgspec)", r"^_core\."),
    ("SHA-256 and other OpenSSL", r"libcrypto|_hashlib"),
    ("C library", r"^libc\."),
)
"""Parts of the process, by the name of the library that ran."""

_STAGES: Final = (
    (
        "metadata store: statements and gathering",
        r"juststorage_postgres|juststorage_sqlite|asyncpg",
    ),
    ("blob store", r"juststorage_localfs"),
    ("gathering", r"plugins/_gatherer"),
    ("authentication", r"_authentication|_auth/|_api_key\.py"),
    ("authorization and limits", r"_access\.py|_rate_limits|_deadlines"),
    ("access log and other log lines", r"_access_log|_logging|_audit_log|logging/"),
    ("metrics", r"_meters|juststorage/metrics"),
    ("request id", r"_request_id"),
    ("body in", r"_data/_body"),
    ("answer out", r"_data/_sending|_dto\.py|Exchange\.(answer|start|send_body)"),
    ("headers, queries, conditions", r"juststorage_api/_http"),
    ("use cases and domain", r"juststorage/(usecases|domain)"),
    ("guards of plugins", r"plugins/_(guards|guarding|blob_guards)"),
    ("data handlers", r"juststorage_api/_data"),
    ("framework (Litestar)", r"litestar"),
    ("event loop", r"_serve/_(run|worker|command)\.py"),
    ("front", r"juststorage_api"),
    ("server, in Python (Granian)", r"granian"),
    ("threads", r"concurrent/futures|threading\.py"),
)
"""Stages, by function and file; of a stack, the innermost frame that has one decides. What is none
(the libraries around the event loop) counts for whoever called it."""


def main() -> None:
    """Measure one kind of request, and print where its time went."""
    parser = argparse.ArgumentParser(prog="benchmarks/stages")
    parser.add_argument("kind", choices=("get", "stored", "new", "list", "pages", "unchanged"))
    parser.add_argument("--seconds", type=int, default=5, help="of each of the three")
    parser.add_argument("--embedded", action="store_true", help="SQLite instead of PostgreSQL")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="juststorage-bench-")))
        database = None if arguments.embedded else stack.enter_context(running_database())
        environment = {} if database is None else database.environment()
        server = stack.enter_context(Server(folder / "data", workers=1, environment=environment))
        ids = folder / "ids"
        small.fill(server, _FILLED, ids)

        def load(seconds: float) -> small.Rate:
            return small.rate(server, arguments.kind, seconds=seconds, ids=ids, database=database)

        load(1)  # warm-up
        rate = load(arguments.seconds)
        worker = max(processes.family(server.pid))
        with _loaded(load, arguments.seconds):
            libraries = _by_library(worker, arguments.seconds, folder)
        with _loaded(load, arguments.seconds):
            stages = _by_stage(worker, arguments.seconds, folder)
    print(f"{arguments.kind}: {rate.per_s:,.0f} /s, {rate.errors} errors\n")
    print("| part | us a request | share |\n|---|---|---|")
    service_us = rate.cpu_s_per_1000 * 1000
    rows = {"**service**": service_us}
    interpreter_us = service_us
    for name, share in libraries.items():
        rows[name] = service_us * share
    if libraries:
        interpreter_us = rows["interpreter"]
    for name, share in stages.items():
        rows[f"- {name}"] = interpreter_us * share
    rows["**database**"] = rate.database_cpu_s_per_1000 * 1000
    total_us = service_us + rate.database_cpu_s_per_1000 * 1000
    for name, each_us in rows.items():
        print(f"| {name} | {each_us:.1f} | {each_us / total_us:.0%} |")


@contextmanager
def _loaded(load: Callable[[float], object], seconds: float) -> Iterator[None]:
    """Something to look at for so long."""
    thread = threading.Thread(target=load, args=[seconds + 2])
    thread.start()
    time.sleep(0.5)
    try:
        yield
    finally:
        thread.join()


def _by_library(pid: int, seconds: int, folder: Path) -> dict[str, float]:
    """Shares of the process's time by library; nothing where perf is missing or forbidden."""
    if shutil.which("perf") is None:
        print("perf is not installed: the service is not divided by library")
        return {}
    data = folder / "perf.data"
    record = ("perf", "record", "-q", "-F", "999", "-p", str(pid), "-o", data)
    subprocess.run([*record, "--", "sleep", str(seconds)], check=True, stderr=subprocess.DEVNULL)
    report = ("perf", "report", "-i", data, "--sort", "dso", "--stdio", "-q")
    lines = subprocess.run(report, check=True, capture_output=True, text=True).stdout.splitlines()
    found: Counter[str] = Counter()
    for line in lines:
        if match := re.match(r"\s*([0-9.]+)%\s+(\S+)", line):
            found[_named(_LIBRARIES, match[2]) or "other libraries"] += float(match[1]) / 100
    return dict(found.most_common())


def _by_stage(pid: int, seconds: int, folder: Path) -> dict[str, float]:
    """Shares of the interpreter's time by stage."""
    raw = folder / "stacks.txt"
    command = Path(sys.executable).with_name("py-spy")
    options = ("--gil", "--rate", str(_SAMPLES_PER_S), "--duration", str(seconds))
    subprocess.run(
        [command, "record", "--pid", str(pid), *options, "--format", "raw", "--output", raw],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    found: Counter[str] = Counter()
    for line in raw.read_text().splitlines():
        stack, _, count = line.rpartition(" ")
        named = (_named(_STAGES, frame) for frame in reversed(stack.split(";")))
        found[next(filter(None, named), "the rest")] += int(count)
    return {name: count / found.total() for name, count in found.most_common()}


def _named(patterns: Sequence[tuple[str, str]], text: str) -> str | None:
    return next((name for name, pattern in patterns if re.search(pattern, text)), None)


if __name__ == "__main__":
    main()
