"""Uploads over a network that breaks: sent again as a whole, stored once, and given up in time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]


@pytest.fixture
def name(request: pytest.FixtureRequest, content: bytes) -> str:
    """An object that is not there yet; what it shall hold is in `file`."""
    Path("file").write_bytes(content)
    return f"docs/retries/{request.node.name}"


@pytest.fixture(autouse=True)
def here(run: Run) -> None:
    """In an empty directory."""


def found(server: Any, name: str) -> dict[str, Any]:
    """What the server says of the object."""
    key = name.partition("/retries/")[2]
    _, page = server.call("GET", "/v1/objects?namespace=docs&tenant_id=retries")
    (each,) = [each for each in json.loads(page)["objects"] if each["key"] == key]
    return dict(each)


def test_cut_while_it_is_sent(
    run: Run, server: Any, network: Any, name: str, content: bytes
) -> None:
    """What the server has of an upload that broke is nothing: all of it is sent again."""
    way = network([], uploads=[1_000_000, 3_000_000])
    result = run("objects", "put", "file", name, "--json", JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 0, result.output
    assert way.connections == 3
    assert way.sent[0] < way.sent[1] < len(content) < way.sent[2]
    assert json.loads(result.stdout)["id"] == found(server, name)["id"]
    assert server.call("GET", f"/v1/objects/by-key/{name}") == (200, content)


@pytest.mark.parametrize("condition", [[], ["--if-absent"]], ids=["put", "put if absent"])
def test_the_answer_is_lost(
    run: Run, server: Any, network: Any, name: str, condition: list[str]
) -> None:
    """The repetition finds what the first one stored: the same object, not one in its place."""
    first: list[dict[str, Any]] = []
    way = network([], lose=b"HTTP/1.1 201", on_cut=lambda: first.append(found(server, name)))
    words = ("objects", "put", "file", name, *condition, "--json")
    result = run(*words, JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 0, result.output
    assert way.connections == 2 and way.sent[1] > Path("file").stat().st_size
    assert [json.loads(result.stdout)] == first == [found(server, name)]


def test_given_up(run: Run, server: Any, network: Any, name: str) -> None:
    """Cut at the same place each time it is no progress: exit code 4, and nothing is stored."""
    way = network([], uploads=[1_000_000] * 20)
    words = ("objects", "put", "file", name, "--patience", "1", "--json")
    result = run(*words, JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 4
    assert json.loads(result.stdout)["error"]["code"] == "unavailable"
    assert 1 < way.connections < 20
    assert server.call("HEAD", f"/v1/objects/by-key/{name}")[0] == 404


def test_a_file_of_many(run: Run, network: Any, content: bytes, tmp_path: Path) -> None:
    """An import repeats the file that was cut, and no other."""
    (tmp_path / "tree").mkdir()
    for number in range(3):
        (tmp_path / f"tree/{number}").write_bytes(content + b"%d" % number)
    way = network([], uploads=[6_000_000])
    words = ("import", "tree", "docs/retries/tree/", "--jobs", "1", "--json")
    result = run(*words, JUSTSTORAGE_URL=way.url)
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout.splitlines()[-1])["counts"] == {"stored": 3}
    assert way.connections == 2
    # The first one is whole, the second was cut: it and the third came on the second connection.
    assert 2 * len(content) < way.sent[1] < 3 * len(content)


class TestRetryAfter:
    """The server says when to come back."""

    @pytest.fixture
    def limited(self, harness: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
        """A server that takes one request in four seconds."""
        starter = harness.Starter(tmp_path_factory.mktemp("limited"))
        limits = {"REQUESTS_PER_KEY": "1", "WINDOW_S": "4", "SHARED": "false"}
        named = {f"JUSTSTORAGE__RATE_LIMITS__{name}": value for name, value in limits.items()}
        try:
            yield starter(environment={**harness.MEMORY, **named})
        finally:
            for each in starter.servers:
                each.end()

    def test_no_request_comes_too_early(self, run: Run, limited: Any, name: str) -> None:
        """Whoever waits as told is refused once for each request at most."""
        for _ in range(2):
            result = run("objects", "put", "file", name, JUSTSTORAGE_URL=limited.url)
            assert result.exit_code == 0, result.output
        _, told = limited.call("GET", "/metrics")
        counts = re.findall(
            rb'^juststorage_http_requests_total\{.*status="429".* (\d+)', told, re.M
        )
        assert 1 <= sum(map(int, counts)) <= 4

    def test_longer_than_there_is_patience(self, run: Run, limited: Any, name: str) -> None:
        """It is not waited for: the refusal is told at once, with its code."""
        words = ("objects", "put", "file", name, "--patience", "0", "--json")
        results = [run(*words, JUSTSTORAGE_URL=limited.url) for _ in range(2)]
        assert results[-1].exit_code == 1
        assert json.loads(results[-1].stdout)["error"]["code"] == "rate_limited"
