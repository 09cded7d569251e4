"""Opening backends in tests the way the service does."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import anyio
import msgspec
from anyio.abc import TaskGroup

from juststorage.domain import StorageClass
from juststorage.plugins import Backend, BlobCapabilities, OpenContext
from juststorage.plugins._guards import Where, guard
from juststorage.ports import (
    Authenticator,
    BlobStore,
    Clock,
    GCPolicy,
    Hasher,
    MetadataStore,
)
from juststorage.testing._clock import SystemClock

__all__ = ["open_backend", "open_context"]

ServiceT = TypeVar("ServiceT")

_INSTANCES = {"metadata_store": "metadata", "blob_store": "blobs"}

_PORTS: dict[str, type[Any]] = {
    "authenticator": Authenticator,
    "blob_store": BlobStore,
    "gc_policy": GCPolicy,
    "hasher": Hasher,
    "metadata_store": MetadataStore,
}


class _Background:
    """Background work as a test wants it: a crash ends the test instead of being tried again."""

    def __init__(self, tasks: TaskGroup) -> None:
        self._tasks = tasks
        self._running: dict[anyio.CancelScope, anyio.Event] = {}
        self.crashed = False

    def __call__(self, name: str, run: Callable[[], Awaitable[None]], /) -> None:
        scope, ended = anyio.CancelScope(), anyio.Event()
        self._running[scope] = ended
        self._tasks.start_soon(self._run, run, scope, ended, name=name)

    async def _run(
        self, run: Callable[[], Awaitable[None]], scope: anyio.CancelScope, ended: anyio.Event
    ) -> None:
        try:
            with scope:
                await run()
        except Exception:
            self.crashed = True
            raise
        finally:
            del self._running[scope]
            ended.set()

    async def stop(self) -> None:
        """Cancel what runs and wait for its end, as core does before a backend closes."""
        running = dict(self._running)
        for scope in running:
            scope.cancel()
        with anyio.CancelScope(shield=True):
            for ended in running.values():
                await ended.wait()


@asynccontextmanager
async def open_context(
    instance: str = "test",
    *,
    clock: Clock | None = None,
    data_dir: Path | None = None,
    storage_class: StorageClass | None = None,
    metadata: MetadataStore | None = None,
    audit: bool = False,
) -> AsyncIterator[OpenContext]:
    """What a backend needs to open, for as long as the block lasts.

    Background work runs inside the block. When it raises, the block is cancelled and the error
    comes out of it in an exception group; what the block itself raises comes out as it is.

    Args:
        instance: As in `OpenContext`.
        clock: The machine's when not given.
        data_dir: A directory that is removed at the end when not given.
        storage_class: As in `OpenContext`.
        metadata: As in `OpenContext`.
        audit: As in `OpenContext`.
    """
    background: _Background | None = None
    try:
        with tempfile.TemporaryDirectory(prefix="juststorage-test-") as own_dir:
            async with anyio.create_task_group() as tasks:
                background = _Background(tasks)
                yield OpenContext(
                    instance=instance,
                    clock=clock or SystemClock(),
                    logger=logging.getLogger(f"juststorage.test.{instance}"),
                    background=background,
                    data_dir=data_dir or Path(own_dir),
                    storage_class=storage_class,
                    metadata=metadata,
                    audit=audit,
                )
                await background.stop()
    except BaseExceptionGroup as group:
        # The task group wraps what the block raised; a test expects it as it was.
        if background is None or background.crashed or len(group.exceptions) > 1:
            raise
        raise group.exceptions[0] from None


@asynccontextmanager
async def open_backend(
    backend: Backend[Any, ServiceT],
    options: msgspec.Struct | None = None,
    *,
    clock: Clock | None = None,
    data_dir: Path | None = None,
    storage_class: StorageClass = StorageClass.HOT,
    metadata: MetadataStore | None = None,
    audit: bool = False,
) -> AsyncIterator[ServiceT]:
    """Open a backend as the service does: guarded, its background work stopped before it closes.

    The guard turns what is not in `juststorage.errors` into a `BackendError`.

    Args:
        backend: The descriptor.
        options: Its options; all defaults when not given.
        clock: The machine's when not given.
        data_dir: A directory that is removed at the end when not given.
        storage_class: The class that a blob store serves.
        metadata: The open metadata store, for authenticators.
        audit: Whether a metadata store keeps an audit table.
    """
    if options is None:
        options = msgspec.convert({}, backend.options)
    serves = storage_class if backend.kind == "blob_store" else None
    instance = _INSTANCES.get(backend.kind, f"{backend.kind}.{backend.name}")
    async with open_context(
        f"{instance}.{serves}" if serves else instance,
        clock=clock,
        data_dir=data_dir,
        storage_class=serves,
        metadata=metadata,
        audit=audit,
    ) as context:
        assert isinstance(context.background, _Background)
        async with backend.open(options, context) as service:
            try:
                yield _guarded(backend, service, context.instance)
            finally:
                await context.background.stop()


def _guarded(backend: Backend[Any, ServiceT], service: ServiceT, instance: str) -> ServiceT:
    capabilities = getattr(backend, "capabilities", BlobCapabilities())
    return guard(service, _PORTS[backend.kind], Where(instance, None, capabilities))
