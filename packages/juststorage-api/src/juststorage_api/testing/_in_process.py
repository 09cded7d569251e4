"""The application with its lifespan running, and clients that call it without a socket."""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import httpx2

from juststorage.errors import Misconfigured
from juststorage.ports import Clock
from juststorage.runtime import Runtime, open_runtime
from juststorage_api import plugin
from juststorage_api._asgi import Application, Message
from juststorage_api.application import create_application

__all__ = ["InProcess", "open_in_process"]

_HOST: Final = "http://juststorage.test"

_IN_MEMORY: Final[Mapping[str, Any]] = {
    "metadata": {"backend": "memory"},
    "blobs": {"hot": {"backend": "memory"}, "cold": {"backend": "memory"}},
}


class InProcess:
    """A service that runs. Made by `open_in_process`.

    Args:
        application: An ASGI application: give it to the transport of whatever client is tested.
        runtime: The service behind it, with its stores.
        admin_key: A key that may do everything.
    """

    def __init__(self, application: Application, runtime: Runtime, admin_key: str) -> None:
        self.application = application
        self.runtime = runtime
        self.admin_key = admin_key

    def client(self, key: str | None = None, **options: Any) -> httpx2.AsyncClient:
        """A client that calls it; the caller closes it.

        Args:
            key: Its API key; the admin key by default.
            **options: Of `httpx2.AsyncClient`. `headers` are added to the key.
        """
        headers = {"X-API-Key": key or self.admin_key, **options.pop("headers", {})}
        return httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.application),
            base_url=_HOST,
            headers=headers,
            **options,
        )

    async def make_key(
        self,
        tenants: Iterable[str] | None = None,
        scopes: Iterable[str] = ("objects:read", "objects:write", "objects:delete"),
    ) -> str:
        """A new API key that may do less.

        Args:
            tenants: Those that it acts for; None for all.
            scopes: What it may do.

        Raises:
            ValueError: There is no such scope, or a name is not one.
        """
        body = {
            "name": "test",
            "tenants": ["*"] if tenants is None else list(tenants),
            "scopes": list(scopes),
        }
        async with self.client() as client:
            answer = await client.post("/v1/api-keys", json=body)
        if answer.status_code != 201:
            raise ValueError(answer.json()["detail"])
        key: str = answer.json()["key"]
        return key


@asynccontextmanager
async def open_in_process(
    config: Mapping[str, Any] | None = None,
    *,
    plugins: Iterable[object] = (),
    clock: Clock | None = None,
) -> AsyncIterator[InProcess]:
    """Run a whole service while this is entered.

    Args:
        config: Sections of the configuration, laid over the plugins in memory. No file and no
            variable is read.
        plugins: Plugin modules beside those of core and of this package.
        clock: Tells the time, such as `juststorage.testing.FakeClock`; the system's by default.

    Raises:
        Misconfigured: It did not open, for the reason that a server would have told.

    Cancellation closes it in order.
    """
    key = secrets.token_urlsafe(32)
    auth = {"chain": ["api_key"], "api_key": {"bootstrap_key": key}}
    merged = {**_IN_MEMORY, "auth": auth, **(config or {})}
    opened: list[Runtime] = []

    @asynccontextmanager
    async def runtime() -> AsyncGenerator[Runtime]:
        # Entry points are not read: what else is installed must not change a test.
        async with open_runtime(
            merged, plugins=[plugin, *plugins], discover=False, clock=clock
        ) as made:
            opened.append(made)
            yield made

    application = create_application(runtime)
    async with _lifespan(application):
        yield InProcess(application, opened[0], key)


@asynccontextmanager
async def _lifespan(application: Application) -> AsyncGenerator[None]:
    """Start an application as a server does, and end it."""
    told, ending = anyio.Event(), anyio.Event()
    answers: list[Message] = []
    asked = iter([{"type": "lifespan.startup"}])

    async def receive() -> Message:
        for message in asked:
            return message
        await ending.wait()
        return {"type": "lifespan.shutdown"}

    async def send(message: Message) -> None:
        answers.append(message)
        told.set()

    async def live() -> None:
        await application({"type": "lifespan", "state": {}}, receive, send)

    # A task group would wrap what the caller's block raises, hence the detour.
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(live)
        await told.wait()
        if answers[0]["type"] != "lifespan.startup.complete":
            failure = Misconfigured(answers[0]["message"])
        else:
            try:
                yield
            except BaseException as error:  # noqa: BLE001  raised below
                failure = error
            ending.set()
    if failure is not None:
        raise failure
