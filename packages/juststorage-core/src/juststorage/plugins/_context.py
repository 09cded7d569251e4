"""OpenContext: what core hands to a backend that opens."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from juststorage.domain import StorageClass
from juststorage.metrics import BackendGauge
from juststorage.ports import Clock, MetadataStore, Tracer

__all__ = ["Background", "Gauge", "OpenContext"]


class Background(Protocol):
    """How a backend asks for work beside the requests."""

    def __call__(self, name: str, run: Callable[[], Awaitable[None]], /) -> None:
        """Run `run` from when the service is open until it closes, supervised.

        It is cancelled before the backend's context manager exits. When it raises, core logs and
        counts it, fails readiness, starts it again with back-off, and ends the process after too
        many failures: a service whose background is dead must not look alive. Returning is fine and
        ends it.
        """
        ...


class Gauge(Protocol):
    """How a backend shows a number of its own among the service's metrics."""

    def __call__(self, name: BackendGauge, read: Callable[[], float], /) -> None:
        """Have `read` called about once a second, on the event loop; it must be quick.

        Several of one name are added up.
        """
        ...


def _unseen(name: BackendGauge, read: Callable[[], float], /) -> None:
    """For who opens a backend without looking at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenContext:
    """What a backend may use. Frozen; it grows by fields, never loses one within a major version.

    Args:
        instance: Where in the configuration this is: `metadata`, `blobs.hot`, `auth.jwt`.
        clock: Time for stores that have no clock of their own, and for intervals.
        logger: Named after the instance.
        background: Ask for supervised background work.
        data_dir: The service's own directory, for defaults of paths.
        storage_class: The class that a blob store serves; None for other kinds.
        metadata: The open metadata store, for authenticators; None for kinds that open before it.
        create: Whether to make a store where there is none. False for commands that look at a store
            or tend it: a metadata store then refuses with `Misconfigured`, and makes nothing.
        audit: Whether a metadata store records changes, each in its own transaction, as
            `AuditRepository` says.
        gauge: Show a number among the service's metrics.
        inspect: Only look: bring no schema up to date, and wait for nothing that is away.
        migrate: The command that brings this store's schema up to date: with the options that lead
            to its configuration, for a message to name.
        tracer: Makes spans, for a `Gatherer` and for calls to other services; None where tracing is
            off. The calls of the ports have their spans already.
    """

    instance: str
    clock: Clock
    logger: logging.Logger
    background: Background
    data_dir: Path
    storage_class: StorageClass | None = None
    metadata: MetadataStore | None = None
    create: bool = True
    audit: bool = False
    gauge: Gauge = _unseen
    inspect: bool = False
    migrate: str = "juststorage migrate up"
    tracer: Tracer | None = None
