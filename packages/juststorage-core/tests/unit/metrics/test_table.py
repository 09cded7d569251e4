"""The table that the workers of a service count in."""

from __future__ import annotations

import math
import os
import time

import pytest

from juststorage.metrics import SERVICE_FAMILIES, Family, Table

REQUESTS = Family(
    name="requests_total", text="Requests.", labels=(("method", ("GET", "PUT")),), sparse=True
)
BUSY = Family(name="busy", text="Busy.", kind="gauge")
FREE = Family(name="free_bytes", text="Room.", kind="gauge", common=True)
SECONDS = Family(name="seconds", text="Time.", kind="histogram", bounds=(0.5, 1.0))
HIDDEN = Family(name="due", text="Due.", kind="gauge", common=True, hidden=True)
FAMILIES = (REQUESTS, BUSY, FREE, SECONDS, HIDDEN)


def lines(table: Table) -> list[str]:
    """The text without its comments."""
    return [line for line in table.text().decode().splitlines() if not line.startswith("#")]


def test_nothing_yet() -> None:
    """A gauge that nobody set is not shown as 0; nor is a series that never happened."""
    assert lines(Table(FAMILIES, workers=2)) == [
        'seconds_bucket{le="0.5"} 0',
        'seconds_bucket{le="1"} 0',
        'seconds_bucket{le="+Inf"} 0',
        "seconds_sum 0",
        "seconds_count 0",
    ]


def test_workers_are_added_up() -> None:
    """Counters, histograms and gauges of workers; what is the instance's is there once."""
    table = Table(FAMILIES, workers=2)
    for index, worker in enumerate((table.worker(0), table.worker(1))):
        worker.add("requests_total", 2, "GET")
        worker.set("busy", 1 + index)
        worker.set_common("free_bytes", 4096)
        worker.set_common("due", 1)
        first = worker.place("seconds")
        worker.cells[first + 2 * index] += 1
        worker.cells[first + 3] += 0.25 + 2 * index
    assert lines(table) == [
        'requests_total{method="GET"} 4',
        "busy 3",
        "free_bytes 4096",
        'seconds_bucket{le="0.5"} 1',
        'seconds_bucket{le="1"} 1',
        'seconds_bucket{le="+Inf"} 2',
        "seconds_sum 2.5",
        "seconds_count 2",
    ]
    assert (table.value("requests_total", "GET"), table.value("busy")) == (4, 3)


def test_a_value_that_is_not_known_any_more() -> None:
    """It is not shown, rather than shown as it was; with the next one it is back."""
    table = Table(FAMILIES, workers=2)
    table.worker(0).set_common("free_bytes", 4096)
    table.worker(1).forget_common("free_bytes")
    assert not any("free_bytes" in each for each in lines(table))
    assert math.isnan(table.worker(0).common("free_bytes"))
    table.worker(0).set_common("free_bytes", 1)
    assert "free_bytes 1" in lines(table)


def test_a_worker_that_is_gone() -> None:
    """Its gauges go with it; what it counted stays, and its successor goes on from there."""
    table = Table(FAMILIES, workers=2)
    table.worker(0).set("busy", 3)
    table.worker(1).set("busy", 1)
    table.worker(1).add("requests_total", 5, "PUT")
    table.worker(1).set_common("free_bytes", 1)
    table.bury(1)
    assert lines(table)[:3] == ['requests_total{method="PUT"} 5', "busy 3", "free_bytes 1"]
    table.worker(1).add("requests_total", 1, "PUT")
    assert table.value("requests_total", "PUT") == 6


def test_it_is_shared_with_forked_processes() -> None:
    """What a child counts its parent sees, also after its death."""
    table = Table(FAMILIES, workers=1)
    child = os.fork()
    if child == 0:
        table.worker(0).add("requests_total", 7, "GET")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert table.value("requests_total", "GET") == 7


def test_names_that_are_wrong() -> None:
    """A label value that was not foreseen, or a name that is there twice, is a programmer's."""
    with pytest.raises(KeyError):
        Table(FAMILIES).worker(0).add("requests_total", 1, "BREW")
    with pytest.raises(AssertionError):
        Table((BUSY, BUSY))


def test_values_are_escaped() -> None:
    """Whatever a label holds, the text stays readable for Prometheus."""
    odd = Family(name="odd", text="Odd.", labels=(("path", ('a"b\\c\nd',)),))
    assert lines(Table((odd,))) == [r'odd{path="a\"b\\c\nd"} 0']


def test_a_text_of_many_series_is_quick() -> None:
    """A scrape is to take 50 ms at most with 8 workers; ten thousand series take a part of that."""
    many = Family(
        name="many_total",
        text="Many.",
        labels=(
            (
                "n",
                tuple(map(str, range(10_000))),
            ),
        ),
        sparse=True,
    )
    table = Table((many, *SERVICE_FAMILIES), workers=8)
    began = time.process_time()
    table.text()
    assert time.process_time() - began < 0.2  # a slow machine, and nothing like a second


def test_every_family_has_its_conventions() -> None:
    """Counters end in _total, durations and sizes in their unit, and each says what it is."""
    for family in SERVICE_FAMILIES:
        assert family.name.startswith("juststorage_")
        assert family.name.endswith("_total") == (family.kind == "counter")
        assert family.text.endswith(".")
