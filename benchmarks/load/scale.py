"""What a request costs among few objects and among many: small ones, lists, a look-up by key."""

from __future__ import annotations

import http.client
import json
import random
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from urllib.parse import quote

from benchmarks.load import small
from benchmarks.load.database import Database, running_database
from benchmarks.load.report import Row
from benchmarks.load.rows import Effort
from benchmarks.load.server import Server
from benchmarks.load.turns import in_order

__all__ = ["measure"]

_FEW = 10_000
_FEWEST = 1_000
_FILLED = 1000
_KEYS = 1000
_DEEP_PAGE = 1000
_LIST = "/v1/objects?namespace=bench&tenant_id=bench&limit=100"
_RATES = {"get": "GET 4 KiB", "new": "PUT 4 KiB, new"}


def measure(folder: Path, many: int, effort: Effort) -> Iterator[Row]:
    """Turn and turn about, each service with a database of its own: rates, and p50 of one client.

    Args:
        folder: For both; must not exist.
        many: Objects of the large one; the small one has 10,000, or half as many if that is less.
        effort: How much is measured.
    """
    folder.mkdir()
    few = min(_FEW, many // 2)
    with ExitStack() as stack:
        few_, many_ = (_filled(stack, folder / f"{n}", n) for n in (few, many))
        deep = min(_DEEP_PAGE, many // 100 - 1)
        many_.walk_to(deep)
        for name, ask, other in (
            ("find by key", _Side.by_key, _Side.by_key),
            ("list of 100, page 1", _Side.first_page, _Side.first_page),
            (f"list of 100, page {deep:,}", _Side.first_page, _Side.deep_page),
        ):
            measures = [
                partial(_p50_ms, side, asked, effort.seconds / 2)
                for side, asked in ((few_, ask), (many_, other))
            ]
            if effort.warms_up:
                in_order(measures, 0)
            turns = [in_order(measures, number + 1) for number in range(effort.runs)]
            before, after = map(list, zip(*turns, strict=True))
            first = " (page 1)" if ask is not other else ""
            yield Row(
                f"{name}, of {many:,}, p50",
                after,
                "ms",
                statistics.median(before),
                f"of {few:,}{first}",
                "must: <= 1.3 times",
                before,
            )
        # Last, as they add objects.
        fewest = _filled(stack, folder / "fewest", _FEWEST)
        yield from _rates(fewest, many_, many, effort)


class _Side:
    """A service with so many objects, and one client."""

    def __init__(self, server: Server, database: Database, ids: Path) -> None:
        self._server = server
        self._database = database
        self._ids = ids
        self._connection = http.client.HTTPConnection("127.0.0.1", server.port)
        self._keys = database.keys(_KEYS)
        self._deep = _LIST

    def rate(self, what: str, seconds: float) -> small.Rate:
        """Of one kind of small request, from many clients."""
        return small.rate(
            self._server, what, seconds=seconds, ids=self._ids, database=self._database
        )

    def _ask(self, target: str) -> bytes:
        self._connection.request("GET", target, headers={"X-API-Key": self._server.key})
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return body

    def by_key(self) -> None:
        """Download what is small, by a key that is one of many."""
        self._ask(f"/v1/objects/by-key/bench/bench/{random.choice(self._keys)}")

    def first_page(self) -> None:
        """The newest."""
        self._ask(_LIST)

    def deep_page(self) -> None:
        """Older ones: see `walk_to`."""
        self._ask(self._deep)

    def walk_to(self, page: int) -> None:
        """Find where a page begins, by following those before it."""
        for _ in range(page - 1):
            body = self._ask(self._deep)
            self._deep = f"{_LIST}&cursor={quote(json.loads(body)['next_cursor'])}"


def _rates(few: _Side, many: _Side, count: int, effort: Effort) -> Iterator[Row]:
    """The same number of different objects is asked for of both, and added to both."""
    for what, name in _RATES.items():
        for side in (few, many):
            side.rate(what, 1)  # warm-up
        turns = [
            in_order([partial(side.rate, what, effort.seconds) for side in (few, many)], number + 1)
            for number in range(effort.runs)
        ]
        before, after = zip(*turns, strict=True)
        errors = sum(rate.errors for turn in turns for rate in turn)
        void = f"; VOID: {errors} errors" if errors else ""
        middle = sorted(after)[len(after) // 2]
        yield Row(
            f"{name}, of {count:,}",
            [rate.per_s for rate in after],
            "/s",
            statistics.median(rate.per_s for rate in before),
            f"of {_FEWEST:,}",
            f"must: flat; CPU s per 1,000: service {middle.cpu_s_per_1000:.3f}, database"
            f" {middle.database_cpu_s_per_1000:.3f}{void}",
            [rate.per_s for rate in before],
        )


def _p50_ms(side: _Side, ask: Callable[[_Side], None], seconds: float) -> float:
    took = []
    until = time.perf_counter() + seconds
    while (began := time.perf_counter()) < until:
        ask(side)
        took.append(time.perf_counter() - began)
    return statistics.median(took) * 1000


def _filled(stack: ExitStack, folder: Path, count: int) -> _Side:
    folder.mkdir()
    database = stack.enter_context(running_database())
    environment = database.environment()
    server = stack.enter_context(Server(folder / "data", workers=1, environment=environment))
    ids = folder / "ids"
    small.fill(server, _FILLED, ids)
    if count > _FILLED:
        database.add(count - _FILLED, sharing=True)
    database.write_ids(ids, _FEWEST, stored=True)
    return _Side(server, database, ids)
