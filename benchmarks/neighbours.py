"""Whether the duration of an upload tells that another tenant has the same bytes.

    .venv/bin/python -m benchmarks.neighbours [--trials N] [--equal-time]

Half of the bodies are what another tenant has stored, the others nobody has, in random order, one
after the other over one connection to the real server (SQLite, local files). The AUC is how often
one that nobody has takes longer than one that somebody has: 0.5 tells nothing, 1 all, with a single
look at each. Answers and their header fields are the same, which tests see to. The limit, 0.55, is
one that would tell next to nothing.
"""

from __future__ import annotations

import argparse
import http.client
import random
import statistics
import tempfile
import time
from bisect import bisect_left, bisect_right
from pathlib import Path

from benchmarks.load.server import Server

TRIALS = 2_000
SIZES = {"1 KiB": 1024, "256 KiB": 256 * 1024}
LIMIT = 0.55


def auc(lower: list[float], higher: list[float]) -> float:
    """How often one of `higher` is above one of `lower`; a tie is half."""
    ordered = sorted(lower)
    above = sum((bisect_left(ordered, each) + bisect_right(ordered, each)) / 2 for each in higher)
    return above / (len(lower) * len(higher))


class Uploads:
    """One client's connection."""

    def __init__(self, server: Server) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self._header = {"X-API-Key": server.key}

    def upload_ms(self, tenant: str, data: bytes) -> float:
        """Upload for a tenant; how long its answer took."""
        began = time.perf_counter()
        target = f"/v1/objects?namespace=n&tenant_id={tenant}"
        self._connection.request("POST", target, data, self._header)
        answer = self._connection.getresponse()
        answer.read()
        if answer.status != 201:
            raise SystemExit(f"an upload answers {answer.status}")
        return (time.perf_counter() - began) * 1000


def measure(uploads: Uploads, size: int, trials: int) -> tuple[list[float], list[float]]:
    """How long bodies took that another tenant had, and those that nobody had."""
    stored = [random.randbytes(size) for _ in range(trials // 2)]
    for data in stored:
        uploads.upload_ms("theirs", data)
    bodies = [(True, data) for data in stored]
    bodies += [(False, random.randbytes(size)) for _ in stored]
    random.shuffle(bodies)
    times: dict[bool, list[float]] = {True: [], False: []}
    for known, data in bodies:
        times[known].append(uploads.upload_ms("ours", data))
    return times[True], times[False]


def main() -> None:
    """Measure each size, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=TRIALS)
    parser.add_argument("--equal-time", action="store_true", help="with uploads.equal_time")
    arguments = parser.parse_args()
    trials = arguments.trials
    environment = {"JUSTSTORAGE__UPLOADS__EQUAL_TIME": str(arguments.equal_time).lower()}
    print(f"| body | known, median | new, median | AUC of {trials:,} trials (limit {LIMIT}) |")
    print("|---|---|---|---|")
    with (
        tempfile.TemporaryDirectory(prefix="juststorage-neighbours-") as folder,
        Server(Path(folder) / "data", workers=1, environment=environment) as server,
    ):
        uploads = Uploads(server)
        for name, size in SIZES.items():
            known, new = measure(uploads, size, trials)
            medians = (f"{statistics.median(each):.2f} ms" for each in (known, new))
            print(f"| {name} | {' | '.join(medians)} | {auc(known, new):.3f} |", flush=True)


if __name__ == "__main__":
    main()
