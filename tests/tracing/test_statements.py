"""Statements and collections, each with the stores of a deployment."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest

from juststorage.domain import Namespace, ObjectKey, TenantId
from juststorage.ports import Tracer
from juststorage.runtime import Runtime, make_collector, open_runtime
from tests.tracing.receiver import Receiver

CLIENT = 3


@asynccontextmanager
async def opened(
    receiver: Receiver, root: Path, metadata: dict[str, Any]
) -> AsyncIterator[Runtime]:
    """An open service over local files."""
    localfs = {"backend": "localfs", "localfs": {"root": str(root), "create_root": True}}
    config = {
        "metadata": metadata,
        "blobs": {"hot": localfs},
        "auth": {"chain": []},
        "tracing": {"endpoint": receiver.url},
    }
    async with open_runtime(config) as runtime:
        yield runtime


def tracer_of(runtime: Runtime) -> Tracer:
    """Its tracer."""
    assert runtime.tracer is not None
    return runtime.tracer


async def test_one_statement_for_many(
    receiver: Receiver, tmp_path: Path, postgres_url: str
) -> None:
    """Requests that share a statement share its span: it has a link to each, and each to it."""
    count = 20
    one_at_a_time = {"url": postgres_url, "read_batches_max": 1, "connect_wait_s": 0}
    metadata = {"backend": "postgres", "postgres": one_at_a_time}
    async with opened(receiver, tmp_path / "blobs", metadata) as runtime:
        tracer = tracer_of(runtime)

        async def look(number: int) -> None:
            with tracer.span(f"request {number}", begins=True):
                await runtime.metadata.objects.find_by_key(
                    TenantId("acme"), Namespace("docs"), ObjectKey(str(number))
                )

        async with anyio.create_task_group() as tasks:
            for number in range(count):
                tasks.start_soon(look, number)
    calls = {span.id: span for span in receiver.named("metadata.objects.find_by_key")}
    assert len(calls) == count
    statements = receiver.named("find_by_key statement")
    assert sum(span.attributes["juststorage.shared_by"] for span in statements) == count
    assert len(statements) < count
    for statement in statements:
        assert statement.kind == CLIENT
        assert statement.attributes["db.system.name"] == "postgresql"
        assert len(statement.links) == statement.attributes["juststorage.shared_by"] - 1
        assert statement.parent in calls
        assert all(statement.id in calls[member].links for member in statement.links)


@pytest.mark.parametrize(
    ("backend", "expected"),
    [
        ("postgres", [["statements"], ["transaction"]]),
        ("sqlite", [["read statements"], ["read statements", "write transaction"]]),
    ],
)
async def test_what_is_not_gathered(
    receiver: Receiver,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    backend: str,
    expected: list[list[str]],
) -> None:
    """A list, or a change that looks before it acts, has spans of what it has the database do."""
    where = {"path": str(tmp_path / "db")}
    if backend == "postgres":
        where = {"url": request.getfixturevalue("postgres_url")}
    metadata = {"backend": backend, backend: where}
    async with opened(receiver, tmp_path / "blobs", metadata) as runtime:
        await runtime.metadata.objects.scan(after=None, limit=10)  # in no trace
        with tracer_of(runtime).span("request", begins=True):
            await runtime.metadata.objects.scan(after=None, limit=10)
            await runtime.metadata.secret("of this test")
    calls = [receiver.one("metadata.objects.scan"), receiver.one("metadata.secret")]
    assert [receiver.below(call) for call in calls] == expected
    parents = {call.id for call in calls}
    system = {"postgres": "postgresql"}.get(backend, backend)
    for span in receiver.spans:
        if span.parent in parents:
            assert (span.kind, span.attributes["db.system.name"]) == (CLIENT, system)


async def test_a_collection_and_its_steps(receiver: Receiver, tmp_path: Path) -> None:
    """A run begins a trace; its steps lie below it, and the calls of the stores below them."""
    metadata = {"backend": "sqlite", "sqlite": {"path": str(tmp_path / "db")}}
    async with opened(receiver, tmp_path / "blobs", metadata) as runtime:
        report = await make_collector(runtime).run()
    assert report.errors == 0
    run = receiver.one("collect_garbage.run")
    assert run.parent == ""
    steps = ["reap", "remove", "purge", "staging", "orphans", "rows", "tidy"]
    assert receiver.below(run) == [f"collect_garbage.{step}" for step in steps]
    assert receiver.below(receiver.one("collect_garbage.reap")) == ["metadata.objects.reap"]
    assert not any(span.failed for span in receiver.spans)


async def test_a_collection_with_errors(receiver: Receiver, tmp_path: Path) -> None:
    """The run goes on, and its trace shows which call it was, by the code of the error."""
    root = tmp_path / "blobs"
    async with opened(receiver, root, {"backend": "memory"}) as runtime:
        (root / ".trash").rmdir()
        (root / ".trash").write_bytes(b"in the way")
        report = await make_collector(runtime).run()
    assert report.errors == 1
    run, call = receiver.one("collect_garbage.run"), receiver.one("blobs.hot.trash")
    assert run.attributes == {"juststorage.gc.errors": 1, "error.type": "collection_errors"}
    assert call.attributes["error.type"] == "unavailable"
    assert [span.name for span in receiver.spans if span.failed] == [call.name, run.name]


@pytest.mark.parametrize("backend", ["memory", "sqlite"])
async def test_what_belongs_to_no_trace(receiver: Receiver, tmp_path: Path, backend: str) -> None:
    """Background work that nobody asked to be traced, such as counting, makes no spans."""
    metadata: dict[str, Any] = {"backend": backend}
    if backend == "sqlite":
        metadata["sqlite"] = {"path": str(tmp_path / "db")}
    async with opened(receiver, tmp_path / "blobs", metadata) as runtime:
        await runtime.metadata.usage.totals(physical=True)
        await runtime.blobs[next(iter(runtime.blobs))].space()
    assert receiver.spans == []
