"""Backends that tell what happens to them, for the tests of this directory."""

from __future__ import annotations

import copy
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from juststorage.plugins import (
    AuthenticatorBackend,
    BlobStoreBackend,
    GCPolicyBackend,
    HasherBackend,
    MetadataStoreBackend,
    NoOptions,
    OpenContext,
    hookimpl,
)
from juststorage.plugins.builtin import juststorage_gc_policies, juststorage_hashers
from juststorage.plugins.memory import juststorage_blob_stores, juststorage_metadata_stores

CONFIG: dict[str, Any] = {
    "metadata": {"backend": "told"},
    "blobs": {"hot": {"backend": "told"}, "cold": {"backend": "told"}},
    "hasher": {"backend": "told"},
    "gc": {"policy": "told"},
    "auth": {"chain": ["told"]},
}


class Nobody:
    """An authenticator that recognizes nobody."""

    async def authenticate(self, credentials: object) -> None:
        """Nobody."""


@dataclass(eq=False)
class Story:
    """What happens when a backend of this plugin opens, and what has happened."""

    events: list[str] = field(default_factory=list)
    contexts: dict[str, OpenContext] = field(default_factory=dict)
    opening: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """By instance: awaited before its service opens."""
    closing: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    """By instance: awaited when it closes."""
    services: dict[str, Any] = field(default_factory=dict)
    """By instance: served instead of the memory service."""
    jobs: dict[str, list[Callable[[], Awaitable[None]]]] = field(default_factory=dict)
    """By instance: background work to ask for while it opens."""
    hook_calls: int = 0

    def open(self, inner: Any) -> Any:
        """A descriptor's `open` that wraps another's and tells this story."""

        @asynccontextmanager
        async def opened(options: Any, context: OpenContext) -> AsyncIterator[Any]:
            name = context.instance
            self.contexts[name] = context
            for number, job in enumerate(self.jobs.get(name, [])):
                context.background(f"job {number}", job)
            async with inner(options, context) as service:
                try:
                    if name in self.opening:
                        await self.opening[name]()
                    self.events.append(f"open {name}")
                    yield self.services.get(name, service)
                finally:
                    if name in self.closing:
                        await self.closing[name]()
                    self.events.append(f"close {name}")

        return opened

    def _retold(self, kind: Any, backends: Any, **how: Any) -> Sequence[Any]:
        self.hook_calls += 1
        backend = next(iter(backends))
        if hasattr(backend, "capabilities"):
            how["capabilities"] = backend.capabilities
        if hasattr(backend, "durable"):
            how["durable"] = backend.durable
        return [
            kind(
                name="told",
                summary="Tells what happens",
                options=backend.options,
                open=self.open(backend.open),
                **how,
            )
        ]

    @hookimpl
    def juststorage_metadata_stores(self) -> Sequence[MetadataStoreBackend[Any]]:
        """The memory store, retold."""
        return self._retold(MetadataStoreBackend, juststorage_metadata_stores())

    @hookimpl
    def juststorage_blob_stores(self) -> Sequence[BlobStoreBackend[Any]]:
        """The memory store, retold."""
        return self._retold(BlobStoreBackend, juststorage_blob_stores())

    @hookimpl
    def juststorage_hashers(self) -> Sequence[HasherBackend[Any]]:
        """SHA-256, retold."""
        return self._retold(HasherBackend, juststorage_hashers())

    @hookimpl
    def juststorage_gc_policies(self) -> Sequence[GCPolicyBackend[Any]]:
        """Age, retold."""
        return self._retold(GCPolicyBackend, juststorage_gc_policies())

    @hookimpl
    def juststorage_authenticators(self) -> Sequence[AuthenticatorBackend[Any]]:
        """Nobody, told."""
        from juststorage.ports import Authenticator

        class Told(Nobody, Authenticator):
            pass

        @asynccontextmanager
        async def nobody(options: Any, context: OpenContext) -> AsyncIterator[Any]:
            yield Told()

        self.hook_calls += 1
        backend = AuthenticatorBackend(
            name="told", summary="Nobody", options=NoOptions, open=self.open(nobody)
        )
        return [backend]


@pytest.fixture
def story() -> Story:
    """A plugin whose backends are all called `told`."""
    return Story()


@pytest.fixture
def config() -> dict[str, Any]:
    """A configuration that selects `told` everywhere."""
    return copy.deepcopy(CONFIG)


@pytest.fixture
def raiser() -> Callable[[Exception], Callable[[], Awaitable[None]]]:
    """Makes functions that raise an error."""

    def make(error: Exception) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            raise error

        return run

    return make
