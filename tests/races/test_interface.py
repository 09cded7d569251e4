"""R20 and R21: a client that has gone, and a key that is revoked, at the real interface."""

from __future__ import annotations

import dataclasses
import http.client
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import anyio.to_thread
import pytest

from juststorage.config import Config
from juststorage.domain import ApiKey, ApiKeySecret, ObjectId
from juststorage.errors import Unauthenticated
from juststorage.ports import ApiKeyChange, Credentials
from juststorage.runtime import Runtime
from juststorage.testing import FakeClock, make_api_key
from juststorage_api._serve._address import HeldAddress
from juststorage_api._serve._lifespan import lifespan
from juststorage_api._serve._worker import Worker
from juststorage_api.application import create_application
from tests.races.world import NAMESPACE, TENANT, Process, World

SECRET = "admin-" + "k" * 32
LINGER_NOT = struct.pack("ii", 1, 0)
PATH = f"/v1/objects/by-key/{NAMESPACE}/{TENANT}/key"


class Server:
    """The real application under the real server, in this process, between a process's points."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.gone = anyio.Event()
        """The server knows that a client has gone."""
        self.answered = anyio.Event()

    @classmethod
    @asynccontextmanager
    async def of(cls, process: Process) -> AsyncIterator[Server]:
        """Serve the process's stores, with their points."""
        runtime = dataclasses.replace(
            process.runtime, metadata=process.metadata, blobs=process.blobs
        )

        @asynccontextmanager
        async def opened() -> AsyncIterator[Runtime]:
            yield runtime

        application = create_application(opened)
        address = HeldAddress.take("127.0.0.1", 0)
        server = cls(address.port)

        async def watched(scope: Any, receive: Any, send: Any) -> None:
            async def until_gone() -> None:
                # What a server has to say after the body is that the client has gone.
                while (await receive())["type"] != "http.disconnect":
                    pass
                server.gone.set()

            await process.points.reach("before request")
            left = int(dict(scope["headers"])[b"content-length"])

            async def received() -> Any:
                nonlocal left
                message = await receive()
                left -= len(message.get("body", b""))
                if left == 0:  # the application asks no more; now the test does
                    tasks.start_soon(until_gone)
                return message

            async with anyio.create_task_group() as tasks:
                try:
                    await application(scope, received, send)
                finally:
                    server.answered.set()
                    tasks.cancel_scope.cancel()

        worker = Worker(config=Config(), address=address, connections_max=16)
        try:
            async with lifespan(application), anyio.create_task_group() as tasks:
                granian = worker.server(watched)
                tasks.start_soon(granian.serve)
                await anyio.to_thread.run_sync(server.wait_until_open)
                yield server
                granian.stop()  # type: ignore[no-untyped-call]
        finally:
            address.close()

    def wait_until_open(self) -> None:
        """Connect until someone accepts."""
        for _ in range(2000):
            try:
                self.connect().close()
            except ConnectionRefusedError:
                continue
            return
        raise TimeoutError("the server does not accept connections")

    def connect(self) -> socket.socket:
        """A connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def send(self, body: bytes) -> socket.socket:
        """Send an upload whole; the connection, on which an answer may be read."""
        wire = self.connect()
        head = (
            f"PUT {PATH} HTTP/1.1\r\nHost: races\r\nX-API-Key: {SECRET}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        wire.sendall(head.encode() + body)
        return wire


def cut(wire: socket.socket) -> None:
    """Disappear: no orderly end, a reset."""
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NOT)
    wire.close()


def answer(wire: socket.socket) -> int:
    """The status of the answer."""
    with wire:
        response = http.client.HTTPResponse(wire, method="PUT")
        response.begin()
        response.read()
        return response.status


@pytest.fixture
async def served(world: World) -> AsyncIterator[tuple[Process, Server]]:
    """A process that serves HTTP."""
    world.config["auth"] = {"chain": ["api_key"], "api_key": {"bootstrap_key": SECRET}}
    process = await world.process("one")
    async with Server.of(process) as server:
        yield process, server


SMALL, LARGE = b"small" * 100, b"large" * 100_000


@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["whole", "stream"])
@pytest.mark.parametrize("where", ["before", "after"])
async def test_r20_a_client_that_leaves_during_the_commit(
    world: World, served: tuple[Process, Server], body: bytes, where: str
) -> None:
    """From the reservation on the upload runs to its end: committed, whole, nothing left over."""
    process, server = served
    committing = process.stop(f"{where} objects.commit")
    wire = await anyio.to_thread.run_sync(server.send, body)
    with anyio.fail_after(30):
        await committing.reached()
        cut(wire)
        await server.gone.wait()
        committing.go()
        await server.answered.wait()
    found = await process.holder("key")
    assert found is not None
    assert await process.read(found) == body
    assert (await process.row(body)).ref_count == 1
    again = await anyio.to_thread.run_sync(server.send, SMALL)
    assert await anyio.to_thread.run_sync(answer, again) == 200  # the server is none the worse


async def test_r20_a_client_that_leaves_before_the_reservation(
    world: World, served: tuple[Process, Server]
) -> None:
    """Nothing is committed, and nothing stays: the staged bytes go with the client."""
    process, server = served
    begun = process.stop("after objects.begin")
    wire = await anyio.to_thread.run_sync(server.connect)
    head = (
        f"PUT {PATH} HTTP/1.1\r\nHost: races\r\nX-API-Key: {SECRET}\r\n"
        f"Content-Length: {len(LARGE)}\r\n\r\n"
    )
    await anyio.to_thread.run_sync(wire.sendall, head.encode() + LARGE[:1000])
    with anyio.fail_after(30):
        await begun.reached()
        cut(wire)
        begun.go()
        await server.answered.wait()
    assert await process.holder("key") is None
    for store in process.runtime.blobs.values():
        assert await store.staged(older_than_s=0, limit=10) == []


@pytest.mark.parametrize("how", ["upload", "stream"])
@pytest.mark.parametrize("step", ["reservation", "placing", "commit"])
async def test_r20_a_request_that_is_cut_off(world: World, how: str, step: str) -> None:
    """Whoever cancels from the reservation on waits for the end of it, and half is never left."""
    process = await world.process("one")
    reserve, place = ("begin_reserved", "put") if how == "upload" else ("reserve", "place")
    points = {
        "reservation": f"after objects.{reserve}",
        "placing": f"after {place}",
        "commit": "after objects.commit",
    }
    standing = process.stop(points[step])
    scope = anyio.CancelScope()

    async def request() -> None:
        with scope:
            await getattr(process, how)(SMALL, "key")

    async with world.together() as start:
        requesting = start(request)
        await standing.reached()
        scope.cancel()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        standing.go()
        await requesting.result()
    found = await process.holder("key")
    assert found is not None
    assert await process.read(found) == SMALL


# -- R21 ----------------------------------------------------------------------------------------


async def _issue(process: Process) -> tuple[ApiKeySecret, str]:
    """A new key, and its id."""
    secret = ApiKeySecret.new()
    made: ApiKey = await process.runtime.metadata.api_keys.create(make_api_key(secret=secret))
    return secret, made.id


async def _accepts(process: Process, secret: ApiKeySecret) -> bool:
    [authenticator] = process.runtime.authenticators
    try:
        principal = await authenticator.authenticate(Credentials(api_key=secret.text))
    except Unauthenticated:
        return False
    return principal is not None


REVOKE = ApiKeyChange(is_active=False)


async def _two(world: World, ttl_s: float) -> tuple[Process, Process]:
    world.config["auth"] = {"chain": ["api_key"], "api_key": {"cache_ttl_s": ttl_s}}
    return await world.two()


async def test_r21_without_a_cache_a_revoked_key_is_refused_at_once(world: World) -> None:
    """In every process, from the next request on."""
    one, two = await _two(world, 0)
    secret, key_id = await _issue(one)
    assert await _accepts(one, secret) and await _accepts(two, secret)
    await two.metadata.api_keys.update(key_id, REVOKE)
    assert not await _accepts(one, secret)
    assert not await _accepts(two, secret)


async def test_r21_a_revoked_key_is_refused_within_the_ttl(world: World) -> None:
    """Where it was accepted just before, it may be for as long as the cache says, and no longer."""
    clock = world.clock = FakeClock()
    one, two = await _two(world, 5)
    secret, key_id = await _issue(one)
    assert await _accepts(one, secret)
    await two.metadata.api_keys.update(key_id, REVOKE)
    await clock.advance(4.9)
    assert await _accepts(one, secret)
    await clock.advance(0.1)
    assert not await _accepts(one, secret)


async def test_r21_the_ttl_counts_from_the_question(world: World) -> None:
    """A key that is revoked while the answer is under way is not believed longer for that."""
    clock = world.clock = FakeClock()
    one, two = await _two(world, 5)
    secret, key_id = await _issue(one)
    [authenticator] = one.runtime.authenticators
    from juststorage.plugins._guards import unwrap

    unwrap(authenticator)._keys = one.metadata.api_keys  # type: ignore[attr-defined]
    told = one.stop("after api_keys.find_by_hash")
    async with world.together() as start:
        asking = start(_accepts, one, secret)
        await told.reached()
        await two.metadata.api_keys.update(key_id, REVOKE)
        await clock.advance(4)
        told.go()
        assert await asking.result()
    await clock.advance(1)
    assert not await _accepts(one, secret)
    assert ObjectId(key_id)
