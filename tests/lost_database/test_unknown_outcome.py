"""A connection that is cut while a change is under way: its outcome is looked up, not guessed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from juststorage_postgres.testing import LocalServer
from tests.lost_database.proxy import Proxy
from tests.lost_database.service import OBJECTS, ask, is_unavailable

URL = "JUSTSTORAGE__METADATA__POSTGRES__URL"
COMMIT = b"COMMIT\x00"
"""The answer to a COMMIT: a command's tag."""

COUNTS = """
SELECT (SELECT count(*) FROM objects WHERE status = 'COMMITTED'),
    (SELECT count(*) FROM objects WHERE status = 'WRITING'),
    (SELECT coalesce(sum(ref_count), 0)::int FROM blobs),
    (SELECT count(*) FROM blobs b WHERE ref_count <>
        (SELECT count(*) FROM objects o
            WHERE o.blob_hash = b.content_hash AND o.storage_class = b.storage_class))"""


@pytest.fixture
def proxy(server: LocalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    """A proxy in front of the server."""
    with Proxy(tmp_path_factory.mktemp("p"), server.root / ".s.PGSQL.5432") as proxy:
        yield proxy


@pytest.fixture
def service(
    serve: Any, environment: dict[str, str], server: LocalServer, proxy: Proxy
) -> Iterator[Any]:
    """A service that reaches its database through the proxy, with all its statements prepared."""
    environment[URL] = environment[URL].replace(str(server.root), str(proxy.directory))
    environment["JUSTSTORAGE__GC__ENABLED"] = "false"
    started = serve(environment=environment)
    for body in (b"first", b"second", b"second"):
        assert ask(started, "PUT", f"{OBJECTS}/kept", body).status in {200, 201}
    assert ask(started, "PUT", f"{OBJECTS}/gone", b"gone").status == 201
    assert ask(started, "DELETE", f"{OBJECTS}/gone").status == 204
    yield started
    assert started.stop() == 0


async def counts(url: str) -> tuple[int, int, int, int]:
    """Objects that are COMMITTED, and WRITING; references; blobs with a wrong count."""
    connection = await asyncpg.connect(url)
    try:
        return tuple(await connection.fetchrow(COUNTS))
    finally:
        await connection.close()


@pytest.mark.parametrize(
    ("target", "body", "cut", "expected"),
    [
        ("new", b"new", {"answers_to_pass": 1}, (201, 2, 2)),
        ("new", b"second", {}, (201, 2, 2)),
        # That it replaced something nobody can tell any more: 201, as for a new object.
        ("kept", b"other", {"marker": COMMIT}, (201, 1, 1)),
    ],
    ids=["new bytes", "stored bytes, in one statement", "over a key, in a transaction"],
)
async def test_an_upload_whose_confirmation_is_lost(
    service: Any,
    proxy: Proxy,
    url: str,
    *,
    target: str,
    body: bytes,
    cut: Any,
    expected: tuple[int, int, int],
) -> None:
    """The client hears that it is stored, and it is stored once."""
    proxy.cut("after", **cut)
    answer = ask(service, "PUT", f"{OBJECTS}/{target}", body)
    assert proxy.has_cut
    committed, writing, references, wrong = await counts(url)
    assert (answer.status, committed, references) == expected, answer
    assert (writing, wrong) == (0, 0)
    assert ask(service, "GET", f"{OBJECTS}/{target}").body == body


async def test_an_upload_that_never_reached_the_database(
    service: Any, proxy: Proxy, url: str
) -> None:
    """The client hears 503, nothing is visible, and it succeeds at its next attempt."""
    proxy.cut("before", answers_to_pass=1)
    assert is_unavailable(ask(service, "PUT", f"{OBJECTS}/new", b"new"))
    assert proxy.has_cut
    assert ask(service, "GET", f"{OBJECTS}/new").status == 404
    assert ask(service, "PUT", f"{OBJECTS}/new", b"new").status == 201
    assert await counts(url) == (2, 0, 2, 0)


async def test_a_delete_whose_confirmation_is_lost(service: Any, proxy: Proxy, url: str) -> None:
    """503: done or not, nobody says so; the next attempt tells, and nothing is counted twice."""
    proxy.cut("after", marker=COMMIT)
    assert is_unavailable(ask(service, "DELETE", f"{OBJECTS}/kept"))
    assert proxy.has_cut
    assert ask(service, "DELETE", f"{OBJECTS}/kept").status == 404
    assert await counts(url) == (0, 0, 0, 0)
