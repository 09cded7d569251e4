"""Read-only mode, health and metrics, over the memory stores."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from juststorage.domain import StorageClass
from juststorage.errors import StorageFull
from juststorage.plugins import BlobCapabilities, BlobStoreBackend, NoOptions, OpenContext, hookimpl
from juststorage.plugins.memory._blob_store import MemoryBlobStore
from juststorage.ports import BlobStore, Space
from juststorage.runtime import Runtime, open_runtime
from juststorage_api._meters import note_start, table

KEY = "k" * 32
OBJECTS = "/v1/objects/by-key/ns/t"
TENANTS = {"tenants": ["t"], "scopes": ["objects:read"]}

CHANGES = [
    ("POST", "/v1/objects?namespace=ns&tenant_id=t"),
    ("PUT", f"{OBJECTS}/new"),
    ("DELETE", f"{OBJECTS}/kept"),
    ("PATCH", "/v1/objects/01a21098-f290-7cc4-9518-d64de021c446?tenant_id=t"),
    ("DELETE", "/v1/objects/01a21098-f290-7cc4-9518-d64de021c446?tenant_id=t"),
    ("POST", "/v1/objects/01a21098-f290-7cc4-9518-d64de021c446/copy?tenant_id=t"),
    ("POST", "/v1/objects/delete"),
    ("POST", "/v1/admin/gc"),
]


def configured(**sections: Any) -> dict[str, Any]:
    """A configuration over the memory stores."""
    return {
        "metadata": {"backend": "memory"},
        "blobs": {"hot": {"backend": "memory"}},
        "auth": {"chain": ["api_key"], "api_key": {"bootstrap_key": KEY}},
        **sections,
    }


def opened(*plugins: object, **sections: Any) -> Callable[[], Any]:
    """Opens a runtime with these sections."""

    @asynccontextmanager
    async def run() -> AsyncIterator[Runtime]:
        async with open_runtime(configured(**sections), plugins=plugins) as runtime:
            yield runtime

    return run


async def ask(app: Any, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """A call with a JSON body: the status, and the answer if it is JSON."""
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    fields = {"content-length": str(len(raw))}
    if raw and not isinstance(body, bytes):
        fields["content-type"] = "application/json"
    message = {"type": "http.request", "body": raw, "more_body": False}
    start, *parts = await app.call(method, path, message, headers=fields)
    data = b"".join(part["body"] for part in parts)
    is_json = any(value.endswith(b"json") for name, value in start["headers"])
    return start["status"], json.loads(data) if is_json else data


async def test_changes_are_refused_and_nothing_else(app: Any) -> None:
    """In read-only mode: with 503 and a code of its own, before anything is looked up."""
    assert (await ask(app, "PUT", f"{OBJECTS}/kept", b"kept"))[0] == 201
    assert await ask(app, "POST", "/v1/admin/read-only", {"read_only": True}) == (
        200,
        {"read_only": True, "everywhere": True},
    )
    for method, path in CHANGES:
        status, problem = await ask(app, method, path)
        assert (status, problem["code"]) == (503, "read_only"), (method, path)
        assert problem["retry_after_s"] == 30
    assert await ask(app, "GET", f"{OBJECTS}/kept") == (200, b"kept")
    assert (await ask(app, "POST", "/v1/objects/search", {"tenant_id": "t"}))[0] == 200
    assert (await ask(app, "POST", "/v1/admin/gc", {"dry_run": True}))[0] == 200
    # An incident is when a key has to be revoked.
    status, issued = await ask(app, "POST", "/v1/api-keys", {"name": "n", **TENANTS})
    assert status == 201
    assert (await ask(app, "DELETE", f"/v1/api-keys/{issued['id']}"))[0] == 204
    status, readiness = await ask(app, "GET", "/health/ready")
    assert (status, readiness["status"], readiness["read_only"]) == (200, "degraded", True)
    assert await ask(app, "GET", "/v1/admin/read-only") == (200, {"read_only": True})
    assert (await ask(app, "POST", "/v1/admin/read-only", {"read_only": False}))[0] == 200
    assert (await ask(app, "DELETE", f"{OBJECTS}/kept"))[0] == 204
    assert (await ask(app, "GET", "/health/ready"))[1]["status"] == "ready"


async def test_the_switch_leaves_a_trace(app: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Who switched it is in the log and in the audit log, and what was refused meanwhile."""
    with caplog.at_level(logging.INFO):
        await ask(app, "POST", "/v1/admin/read-only", {"read_only": True})
        await ask(app, "PUT", f"{OBJECTS}/new", b"x")
        await ask(app, "POST", "/v1/admin/read-only", {"read_only": True})
    told = [each for each in caplog.records if each.getMessage() == "read-only mode is on"]
    assert len(told) == 1
    audit = [each.getMessage() for each in caplog.records if each.name == "juststorage.audit"]
    assert audit == ["service.read_only done", "request refused", "service.read_only done"]


async def test_the_switch_is_for_admins(app: Any) -> None:
    """And it takes a body that says what is meant."""
    for body in ({}, {"read_only": "yes"}, {"readonly": True}):
        assert (await ask(app, "POST", "/v1/admin/read-only", body))[0] == 400
    status, issued = await ask(app, "POST", "/v1/api-keys", {"name": "n", **TENANTS})
    assert status == 201
    for method in ("GET", "POST"):
        start, *_ = await app.call(
            method, "/v1/admin/read-only", headers={"x-api-key": issued["key"]}
        )
        assert start["status"] == 403


async def test_an_instance_that_starts_read_only(started: Any) -> None:
    """The option does what the switch does, until it is switched."""
    async with started(opened(server={"read_only": True})) as app:
        assert (await ask(app, "PUT", f"{OBJECTS}/new", b"x"))[1]["code"] == "read_only"
        await ask(app, "POST", "/v1/admin/read-only", {"read_only": False})
        assert (await ask(app, "PUT", f"{OBJECTS}/new", b"x"))[0] == 201


class _FullStore(MemoryBlobStore):
    full = False

    async def space(self) -> Space:
        return Space(total_bytes=10, free_bytes=0 if self.full else 10)

    async def ping(self) -> None:
        if self.full:
            raise StorageFull("there is not enough free space on the volume")


class Filling:
    """A plugin whose volume fills up when it is told to."""

    def __init__(self) -> None:
        self.stores: list[_FullStore] = []

    @asynccontextmanager
    async def _open(self, options: NoOptions, context: OpenContext) -> AsyncIterator[BlobStore]:
        assert context.storage_class is StorageClass.HOT
        self.stores.append(_FullStore(context.clock))
        for gauge, number in (("connections", 5), ("connections_in_use", 3), ("waiting", 7)):
            context.gauge(gauge, lambda number=number: number)  # type: ignore[misc,arg-type]
        yield self.stores[-1]

    @hookimpl
    def juststorage_blob_stores(self) -> list[BlobStoreBackend[NoOptions]]:
        """Offer it."""
        capabilities = BlobCapabilities(
            trash=True, fixed_names=True, space=True, stable_readers=True
        )
        return [
            BlobStoreBackend(
                name="filling",
                summary="Fills up",
                options=NoOptions,
                open=self._open,
                capabilities=capabilities,
            )
        ]


async def test_a_full_volume_is_no_reason_to_send_readers_away(started: Any) -> None:
    """Readiness stays 200, says what is degraded, and is whole again by itself."""
    plugin = Filling()
    async with started(opened(plugin, blobs={"hot": {"backend": "filling"}})) as app:
        plugin.stores[0].full = True
        status, readiness = await ask(app, "GET", "/health/ready")
        assert (status, readiness["status"]) == (200, "degraded")
        parts = {part["name"]: part for part in readiness["parts"]}
        for name in ("blobs.hot", "blobs.hot/space"):
            assert (parts[name]["ok"], parts[name]["degraded"]) == (True, True)
            assert parts[name]["detail"]
            assert parts[name]["latency_ms"] >= 0
        assert (parts["metadata"]["ok"], parts["metadata"]["degraded"]) == (True, False)
        plugin.stores[0].full = False
        assert (await ask(app, "GET", "/health/ready"))[1]["status"] == "ready"


async def test_start_up(app: Any) -> None:
    """Once all workers are ready, with the time since when."""
    status, document = await ask(app, "GET", "/health/startup")
    assert (status, document["status"], document["workers"]) == (200, "started", 1)


async def test_start_up_that_goes_on(started: Any) -> None:
    """503 that says how far it is, until the last worker is ready."""
    sheet = table(2).worker(0)

    @asynccontextmanager
    async def one_of_two() -> AsyncIterator[Runtime]:
        async with open_runtime(configured(), sheet=sheet) as runtime:
            yield runtime

    async with started(one_of_two) as app:
        status, problem = await ask(app, "GET", "/health/startup")
        assert (status, problem["code"]) == (503, "unavailable")
        assert problem["detail"] == "starting: 1 of 2 workers are ready"
        note_start(sheet.table.worker(1), 1.0)
        status, document = await ask(app, "GET", "/health/startup")
        assert (status, document["workers"]) == (200, 2)


async def test_what_backends_report_of_themselves(started: Any) -> None:
    """Connections, calls that wait and room on the disk are told as they are."""
    sheet = table(1).worker(0)
    config = configured(blobs={"hot": {"backend": "filling"}})

    @asynccontextmanager
    async def watched() -> AsyncIterator[Runtime]:
        async with open_runtime(config, plugins=[Filling()], sheet=sheet) as runtime:
            yield runtime

    async with started(watched) as app:
        lines: set[str] = set()
        with anyio.fail_after(10):
            while not any(each.startswith("juststorage_volume_free_bytes") for each in lines):
                lines = set((await ask(app, "GET", "/metrics"))[1].decode().splitlines())
                await anyio.sleep(0.01)
    assert {
        'juststorage_backend_connections{backend="blobs.hot"} 5',
        'juststorage_backend_connections_in_use{backend="blobs.hot"} 3',
        'juststorage_backend_waiting{backend="blobs.hot"} 7',
        'juststorage_volume_free_bytes{storage_class="hot"} 10',
        'juststorage_volume_total_bytes{storage_class="hot"} 10',
    } <= lines


async def test_metrics_of_a_program_that_opened_the_runtime_itself(app: Any) -> None:
    """Requests are counted all the same."""
    await ask(app, "PUT", f"{OBJECTS}/a", b"12345")
    status, text = await ask(app, "GET", "/metrics")
    labels = 'method="PUT",route="/v1/objects/by-key/{namespace}/{tenant_id}/{key}"'
    assert status == 200
    assert f'juststorage_http_requests_total{{{labels},status="201"}} 1\n' in text.decode()
    assert f"juststorage_http_request_body_bytes_total{{{labels}}} 5\n" in text.decode()
    assert "juststorage_uploads_in_flight 0\n" in text.decode()
    assert "juststorage_read_only 0\n" in text.decode()


async def test_metrics_that_are_turned_off(started: Any) -> None:
    """There is no such resource then."""
    async with started(opened(metrics={"enabled": False})) as app:
        assert (await ask(app, "GET", "/metrics"))[0] == 404


async def test_metrics_for_admins_alone(started: Any) -> None:
    """Where the configuration asks for that."""
    async with started(opened(metrics={"require_auth": True})) as app:
        assert (await ask(app, "GET", "/metrics"))[0] == 200
        start, *_ = await app.call("GET", "/metrics", headers={"x-api-key": ""})
        assert start["status"] == 401
        _, issued = await ask(app, "POST", "/v1/api-keys", {"name": "n", **TENANTS})
        start, *_ = await app.call("GET", "/metrics", headers={"x-api-key": issued["key"]})
        assert start["status"] == 403
