"""Opening: backends one after another, guarded and supervised; closed the other way."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import anyio
from anyio.abc import TaskGroup

from juststorage.config import Config
from juststorage.domain import StorageClass
from juststorage.errors import BackendError, JustStorageError
from juststorage.metrics import SERVICE_FAMILIES, Sheet, Table
from juststorage.plugins import BlobStoreBackend, OpenContext
from juststorage.plugins._descriptors import NO_CAPABILITIES
from juststorage.plugins._guards import Where, guard
from juststorage.plugins._host import PluginHost
from juststorage.ports import (
    Authenticator,
    BlobStore,
    Clock,
    GCPolicy,
    Hasher,
    MetadataStore,
    Tracer,
)
from juststorage.runtime._background import Supervisor
from juststorage.runtime._clock import SystemClock
from juststorage.runtime._collecting import collect_forever
from juststorage.runtime._held import CLOSE_TIMEOUT_S, Held
from juststorage.runtime._monitor import Monitor
from juststorage.runtime._plan import Choice, Plan, hasher_choices
from juststorage.runtime._read_only import ReadOnlyMode
from juststorage.runtime._runtime import Runtime
from juststorage.runtime._usecases import make_collector

__all__ = ["Opening", "opening"]

PORTS: Mapping[str, type[Any]] = {
    "metadata_store": MetadataStore,
    "blob_store": BlobStore,
    "hasher": Hasher,
    "gc_policy": GCPolicy,
    "authenticator": Authenticator,
}
"""What a backend of each kind must open."""

_COLLECTOR = "collector"
_MONITOR = "monitor"
_READ_ONLY = "read_only"
"""The instances that core itself adds to those of the configuration."""

_log = logging.getLogger("juststorage.runtime")


@asynccontextmanager
async def opening(
    config: Config,
    host: PluginHost,
    *,
    clock: Clock | None = None,
    on_fatal: Callable[[str], None] | None = None,
    create: bool = True,
    sheet: Sheet | None = None,
    tracer: Tracer | None = None,
) -> AsyncIterator[Opening]:
    """What opens backends, and closes at the end what it has opened; as `open_runtime` says."""
    failure: BaseException | None = None
    async with anyio.create_task_group() as tasks:
        opened = Opening(
            config,
            host,
            clock or SystemClock(),
            tasks,
            on_fatal,
            create=create,
            sheet=sheet or Table(SERVICE_FAMILIES).worker(0),
            tracer=tracer,
        )
        # The task group would wrap what the caller's block raises, hence the detour.
        try:
            yield opened
        except BaseException as error:  # noqa: BLE001  raised again, a few lines down
            failure = error
        with anyio.CancelScope(shield=True):
            problem = await opened.aclose()
    if failure is not None or problem is not None:
        raise failure or problem or AssertionError


class Opening:
    """What is open so far."""

    def __init__(
        self,
        config: Config,
        host: PluginHost,
        clock: Clock,
        tasks: TaskGroup,
        on_fatal: Callable[[str], None] | None,
        *,
        create: bool,
        sheet: Sheet,
        tracer: Tracer | None,
    ) -> None:
        self._config = config
        self._sheet = sheet
        self._tracer = tracer
        self._gauges: dict[tuple[str, str], list[Callable[[], float]]] = defaultdict(list)
        self._create = create
        self._host = host
        self.clock = clock
        self._tasks = tasks
        self._told = on_fatal
        self._held: list[tuple[Choice, Held[Any], Supervisor]] = []
        self._supervisors: dict[str, Supervisor] = {}
        self._lost: list[str] = []

    async def runtime(self, plan: Plan) -> Runtime:
        """Open all of the plan. The one place that makes a `Runtime`."""
        metadata: MetadataStore = await self.open(plan.metadata)
        blobs: dict[StorageClass, BlobStore] = {
            storage_class: await self.open(choice, storage_class=storage_class)
            for storage_class, choice in plan.blobs.items()
        }
        hasher, hashers = await self._open_hashers(plan.hasher, plan.other_hashers)
        gc_policy: GCPolicy = await self.open(plan.gc_policy)
        authenticators: list[Authenticator] = [
            await self.open(choice, metadata=metadata) for choice in plan.authenticators
        ]
        read_only_mode = ReadOnlyMode(self._sheet, metadata, self.clock)
        await read_only_mode.begin(configured=self._config.server.read_only)
        return Runtime(
            config=self._config,
            host=self._host,
            clock=self.clock,
            metadata=metadata,
            blobs=blobs,
            blob_capabilities={
                storage_class: cast("BlobStoreBackend[Any]", choice.offer.item).capabilities
                for storage_class, choice in plan.blobs.items()
            },
            hasher=hasher,
            hashers=hashers,
            gc_policy=gc_policy,
            authenticators=tuple(authenticators),
            selected=tuple(choice.selected for choice in plan.choices()),
            plan=plan,
            supervisors=self._supervisors,
            lost=self._lost,
            sheet=self._sheet,
            read_only_mode=read_only_mode,
            tracer=self._tracer,
        )

    async def hashers(self, config: Config, host: PluginHost) -> Mapping[str, Hasher]:
        """Every known hasher, for whoever opens no service."""
        _, hashers = await self._open_hashers(*hasher_choices(config, host))
        return hashers

    async def _open_hashers(
        self, chosen: Choice, others: Iterable[Choice]
    ) -> tuple[Hasher, dict[str, Hasher]]:
        hasher = await self._open_hasher(chosen)
        hashers = {hasher.algorithm: hasher}
        for choice in others:
            other = await self._open_hasher(choice)
            hashers.setdefault(other.algorithm, other)
        return hasher, hashers

    async def _open_hasher(self, choice: Choice) -> Hasher:
        hasher: Hasher = await self.open(choice)
        try:
            # The name of content is for ever: one that does not parse must not be given once.
            named = hasher.hash(b"")
        except JustStorageError as error:
            raise self._broken(choice, "makes names that are no content hashes") from error
        if named.algorithm != hasher.algorithm:
            raise self._broken(choice, "makes names of another algorithm than it says")
        return hasher

    async def open(
        self,
        choice: Choice,
        *,
        storage_class: StorageClass | None = None,
        metadata: MetadataStore | None = None,
    ) -> Any:
        """Open one, guarded."""
        instance = choice.instance
        logger = logging.getLogger(f"juststorage.{instance}")
        supervisor = Supervisor(instance, self._tasks, self.clock, logger, self._fatal)
        context = OpenContext(
            instance=instance,
            clock=self.clock,
            logger=logger,
            background=supervisor,
            data_dir=self._config.data_dir.absolute(),
            migrate=self._config.command("juststorage migrate up"),
            storage_class=storage_class,
            metadata=metadata,
            create=self._create,
            audit=self._config.audit.table,
            gauge=lambda name, read: self._gauges[name, instance].append(read),
            tracer=self._tracer,
        )

        def lost(error: BaseException | None) -> None:
            logger.critical("the service ended by itself", exc_info=error)
            self._lost.append(instance)
            self._fatal(f"{instance}: the backend {choice.offer.name!r} ended by itself")

        try:
            held = Held(choice.offer.item.open(choice.options, context), lost)
            service = await held.open(self._tasks)
        except JustStorageError:
            raise
        except Exception as error:
            raise self._broken(choice, "could not be opened") from error
        self._held.append((choice, held, supervisor))
        port = PORTS[choice.offer.kind]
        if not isinstance(service, port):
            raise self._broken(
                choice, f"opened a {type(service).__name__} instead of a {port.__name__}"
            )
        self._supervisors[instance] = supervisor
        supervisor.start()
        backend = choice.offer.item
        capabilities = (
            backend.capabilities if isinstance(backend, BlobStoreBackend) else NO_CAPABILITIES
        )
        guarded = guard(
            service, port, Where(instance, choice.offer.record.distribution, capabilities)
        )
        if self._tracer is not None:
            # Imported late: whoever traces nothing has nothing of it.
            from juststorage.plugins._traced import trace_service

            trace_service(guarded, port, self._tracer, instance, choice.offer.name)
        return guarded

    def collect(self, runtime: Runtime) -> None:
        """Start the collector. It is readiness's business like any other background work."""
        collector = Supervisor(
            _COLLECTOR, self._tasks, self.clock, logging.getLogger("juststorage.gc"), self._fatal
        )
        run, gc = make_collector(runtime), self._config.gc
        collector(
            "collect garbage",
            lambda: collect_forever(
                run,
                self.clock,
                gc.interval_s,
                jitter_ratio=gc.jitter_ratio,
                is_paused=lambda: runtime.read_only,
            ),
        )
        self._supervisors[_COLLECTOR] = collector
        collector.start()

    def monitor(self, runtime: Runtime) -> None:
        """Start the monitor. What it cannot see is no matter of readiness; a crash of it is."""
        monitor = Monitor(
            self._sheet,
            runtime.metadata,
            runtime.blobs,
            self._gauges,
            self.clock,
            data_dir=self._config.data_dir,
            interval_s=self._config.metrics.count_interval_s,
        )
        logger = logging.getLogger("juststorage.monitor")
        supervisor = Supervisor(_MONITOR, self._tasks, self.clock, logger, self._fatal)
        supervisor("look at the service", monitor.run)
        for storage_class in runtime.blobs:
            watch = partial(monitor.watch_room_forever, storage_class)
            supervisor(f"look at the room of blobs.{storage_class}", watch)
        supervisor("look for audits", monitor.watch_audits_forever)
        supervisor("count objects", monitor.count_forever)
        supervisor("count what is stored", monitor.count_stored_forever)
        self._supervisors[_MONITOR] = supervisor
        supervisor.start()

    def follow(self, runtime: Runtime) -> None:
        """Start to follow the switch of read-only mode, as the metadata store has it."""
        logger = logging.getLogger("juststorage.runtime")
        supervisor = Supervisor(_READ_ONLY, self._tasks, self.clock, logger, self._fatal)
        supervisor("follow the switch", runtime.read_only_mode.follow_forever)
        self._supervisors[_READ_ONLY] = supervisor
        supervisor.start()

    async def aclose(self) -> JustStorageError | None:
        """Close all, last opened first. Returns the first problem; logs each."""
        first: JustStorageError | None = None
        for name in (_READ_ONLY, _MONITOR, _COLLECTOR):
            if name in self._supervisors:
                await _stop(name, self._supervisors[name])
        for choice, held, supervisor in reversed(self._held):
            await _stop(choice.instance, supervisor)
            try:
                await held.aclose()
            except Exception as error:  # noqa: BLE001  the others are still to be closed
                _log.error("a backend did not close", exc_info=error)
                problem = self._broken(choice, "could not be closed")
                problem.__cause__ = error
                first = first or problem
        return first

    def _broken(self, choice: Choice, what: str) -> BackendError:
        record = choice.offer.record
        return BackendError(
            f"{choice.instance}: the backend {choice.offer.name!r} of {record.origin} {what}",
            plugin=choice.instance,
            distribution=record.distribution,
        )

    def _fatal(self, reason: str) -> None:
        _log.critical(reason)
        if self._told is not None:
            try:
                self._told(reason)
            except Exception as error:  # noqa: BLE001  it runs in the tasks that it watches over
                _log.error("on_fatal failed", exc_info=error)


async def _stop(instance: str, supervisor: Supervisor) -> None:
    """Stop its work; in time, also where a call to a backend is neither answered nor cancelled.

    The backends close next, and with its backend such a call ends.
    """
    with anyio.move_on_after(CLOSE_TIMEOUT_S) as limit:
        await supervisor.stop()
    if limit.cancelled_caught:
        _log.error("%s: background work ignores its cancellation", instance)
