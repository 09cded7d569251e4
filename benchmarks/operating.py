"""What it costs to be seen: request ids, metrics and the access log, for each request.

    .venv/bin/python -m benchmarks.operating [--rounds N]

Processor time in process, the best of five runs: of each part alone, and of a whole small download
over the memory stores, from the application's call to its last message, with the log as the service
writes it. The share is of that download; behind a server and on real stores a request costs more,
and these parts the same. Also the time of one scrape over 8 workers.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from juststorage.config import Limits, Log
from juststorage.runtime import log_fields, open_runtime, set_up_logging
from juststorage_api._access_log import AccessLog
from juststorage_api._exchange import Exchange
from juststorage_api._front import Front
from juststorage_api._meters import BY_ID, HttpMeters, table
from juststorage_api._request_id import RequestIds
from juststorage_api._routes import Routes
from juststorage_api._services import Services

KEY = "a-key-of-this-benchmark-alone"
CONFIG: dict[str, Any] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}},
    "auth": {"chain": ["api_key"], "api_key": {"bootstrap_key": KEY}},
    "gc": {"enabled": False},
    "metrics": {"count_interval_s": 0},
}
SIZE = 4096
FLUSH_EVERY = 64
"""Requests between two pauses of the event loop, in which the log is written."""


async def nothing(*_: Any) -> Any:
    """No client."""


def exchange() -> Exchange:
    """A download that is over."""
    made = Exchange(
        {"method": "GET"},
        nothing,
        nothing,
        path=b"/v1/objects/01a21098-f290-7cc4-9518-d64de021c446",
        fields={},
        request_id=b"9f1c2ab04d3e5f67-0000002a",
        bounds=Limits(),
        facts={"request_id": "9f1c2ab04d3e5f67-0000002a", "tenant_id": "acme"},
    )
    made.status, made.sent_bytes, made.route = 200, SIZE, BY_ID
    return made


async def per_call_us(call: Callable[[], Any], rounds: int) -> float:
    """Processor time of one call; the event loop gets its turns in between."""
    best = float("inf")
    for _ in range(5):
        began = time.process_time_ns()
        for number in range(rounds):
            call()
            if number % FLUSH_EVERY == 0:
                await asyncio.sleep(0)
        best = min(best, (time.process_time_ns() - began) / rounds / 1000)
    return best


async def whole_us(front: Front, scope: dict[str, Any], rounds: int) -> float:
    """Processor time of one download."""
    best = float("inf")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    for _ in range(5):
        began = time.process_time_ns()
        for _ in range(rounds):
            await front(dict(scope), receive, nothing)
        best = min(best, (time.process_time_ns() - began) / rounds / 1000)
    return best


async def measure(rounds: int) -> None:
    """Open the service, and print the table."""
    with Path(os.devnull).open("w") as stream:  # noqa: ASYNC230  nothing is served meanwhile
        set_up_logging(Log(format="json"), stream)
        ids, log, meters = RequestIds(), AccessLog(), HttpMeters(table(2).worker(0))
        over = exchange()

        def identify() -> None:
            request_id = ids.choose(None)
            facts = {**log_fields.get(), "request_id": request_id.decode("ascii")}
            log_fields.reset(log_fields.set(facts))

        parts = {
            "request id": await per_call_us(identify, rounds),
            "metrics": await per_call_us(lambda: meters.count(over, 0.0002), rounds),
            "access log": await per_call_us(lambda: log.write(over, 0.0002), rounds),
        }
        async with open_runtime(CONFIG, sheet=table(2).worker(0)) as runtime:
            services = await Services.of(runtime)
            front = Front(services, Routes(services))
            path = "/v1/objects/by-key/ns/acme/k"
            fields = [(b"host", b"x"), (b"x-api-key", KEY.encode())]
            scope = {
                "type": "http",
                "http_version": "1.1",
                "method": "PUT",
                "path": path,
                "raw_path": path.encode(),
                "query_string": b"",
                "headers": [*fields, (b"content-length", b"%d" % SIZE)],
            }

            async def body() -> dict[str, Any]:
                return {"type": "http.request", "body": bytes(SIZE), "more_body": False}

            await front(scope, body, nothing)
            get = scope | {"method": "GET", "headers": fields}
            total = await whole_us(front, get, max(1, rounds // 10))
        print(f"{'':24}{'us':>8}{'share':>8}")
        for name, spent in (*parts.items(), ("together", sum(parts.values()))):
            print(f"{name:24}{spent:8.2f}{spent / total:8.1%}")
        print(f"{'download, in process':24}{total:8.2f}")
        full = table(8)
        for index in range(8):
            count = HttpMeters(full.worker(index)).count
            for status in (200, 404, 500):
                over.status = status
                count(over, 0.1)
        print(f"{'scrape, 8 workers':24}{await per_call_us(full.text, 20):8.0f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=20_000)
    asyncio.run(measure(parser.parse_args().rounds))
