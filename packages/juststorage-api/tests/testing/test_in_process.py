"""A service inside a test: whole, separate from every other, and gone afterwards."""

from __future__ import annotations

import asyncio

import pytest

from juststorage.errors import Misconfigured
from juststorage.testing import FakeClock
from juststorage_api.testing import InProcess, open_in_process
from juststorage_api.testing.fixtures import anyio_backend, storage

__all__ = ["anyio_backend", "storage"]

REQUEST_ID = "0123456789abcdef-mine"
URL = "/v1/objects/by-key/docs/acme/a.txt"


async def test_up_and_down(storage: InProcess) -> None:
    """Bytes go in and come back, through the whole application."""
    async with storage.client() as client:
        stored = await client.put(URL, content=b"hello")
        assert stored.status_code == 201
        answer = await client.get(URL)
    assert (answer.status_code, answer.content) == (200, b"hello")
    assert answer.headers["etag"] == stored.headers["etag"]


async def test_a_stream(storage: InProcess) -> None:
    """A body in pieces, as a client that reads a file sends it."""

    async def pieces() -> object:
        for _ in range(40):
            yield b"x" * 65_536

    async with storage.client() as client:
        assert (await client.put(URL, content=pieces())).status_code == 201  # type: ignore[arg-type]
        async with client.stream("GET", URL) as answer:
            assert sum([len(piece) async for piece in answer.aiter_bytes()]) == 40 * 65_536


async def test_each_is_its_own() -> None:
    """Two at once share nothing, not even keys."""
    async with open_in_process() as one, open_in_process() as other:
        async with one.client() as client:
            await client.put(URL, content=b"hello")
        async with other.client() as client:
            assert (await client.get(URL)).status_code == 404
        async with other.client(one.admin_key) as client:
            assert (await client.get(URL)).status_code == 401


async def test_keys_that_may_do_less(storage: InProcess) -> None:
    """What an application does with too small a key can be tested."""
    reader = await storage.make_key(tenants=["acme"], scopes=["objects:read"])
    async with storage.client(reader, headers={"X-Request-ID": REQUEST_ID}) as client:
        answer = await client.put(URL, content=b"hello")
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
        assert answer.headers["x-request-id"] == REQUEST_ID
        assert (await client.get(URL.replace("acme", "other"))).status_code == 403
    with pytest.raises(ValueError, match="scope"):
        await storage.make_key(scopes=["objects:paint"])


async def test_the_clock_is_the_tests() -> None:
    """Times are those of the clock that was given."""
    clock = FakeClock()
    async with open_in_process(clock=clock) as service, service.client() as client:
        document = (await client.put(URL, content=b"hello")).json()
        assert document["created_at"].startswith(clock.now().strftime("%Y-%m-%dT%H:%M"))


async def test_settings() -> None:
    """Sections are laid over the memory plugins."""
    config = {"uploads": {"max_bytes": 4}}
    async with open_in_process(config) as service, service.client() as client:
        assert (await client.put(URL, content=b"hello")).status_code == 413


async def test_a_wrong_setting_is_told() -> None:
    """What a server would refuse to start with is an error here, with its sentence."""
    with pytest.raises(Misconfigured, match="max_bytes"):
        async with open_in_process({"uploads": {"max_bytes": -1}}):
            pass


async def test_an_error_of_the_test_is_the_tests() -> None:
    """Nothing is wrapped in a group, and nothing of the service stays behind."""
    before = asyncio.all_tasks()
    with pytest.raises(LookupError, match="mine"):
        async with open_in_process():
            raise LookupError("mine")
    assert asyncio.all_tasks() == before


async def test_no_hook_is_called_while_requests_are_served(storage: InProcess) -> None:
    """Plugins are asked what they offer at start-up, never on the way of a request."""
    calls: list[str] = []

    def before(name: str, implementations: object, arguments: object) -> None:
        calls.append(name)

    manager = storage.runtime.host.manager
    stop = manager.add_hookcall_monitoring(before, lambda *_: None)
    async with storage.client() as client:
        stored = (await client.put(URL, content=b"hello")).json()
        for method, url in (
            ("GET", URL),
            ("HEAD", URL),
            ("GET", "/v1/objects?tenant_id=acme"),
            ("GET", f"/v1/objects/{stored['id']}/metadata?tenant_id=acme"),
            ("GET", "/health/ready"),
            ("DELETE", URL),
        ):
            assert (await client.request(method, url)).status_code < 300, (method, url)
    assert calls == []
    manager.hook.juststorage_hashers()
    stop()
    assert calls == ["juststorage_hashers"]
