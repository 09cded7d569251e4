"""The auditor: after the leases and two collections nothing is wrong with a store, or left over.

It is that of `juststorage fsck --deep`, without any grace, on the store itself and beside whatever
serves it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
from anyio.from_thread import start_blocking_portal

from juststorage.runtime import Runtime, open_runtime
from juststorage.usecases import AuditLimits, AuditStore, CollectGarbage, CollectionLimits
from tests.torture.journal import Broken, Journal
from tests.torture.members import Service
from tests.torture.service import Store, config_of

__all__ = ["audit", "auditing", "settle"]


async def _audit(runtime: Runtime) -> list[str]:
    auditor = AuditStore(
        runtime.metadata,
        runtime.blobs,
        runtime.hashers,
        clock=runtime.clock,
        limits=AuditLimits(deep=True, staging_grace_s=0, lease_grace_s=0),
    )
    return [f"{each.invariant} {each.subject}: {each.detail}" async for each in auditor.findings()]


async def _settle(runtime: Runtime) -> list[str]:
    everything = CollectionLimits(
        grace_s=0,
        claim_s=0,
        trash_retention_s=0,
        staging_grace_s=0,
        tombstone_retention_s=0,
    )
    collector = CollectGarbage(
        runtime.metadata, runtime.blobs, runtime.gc_policy, clock=runtime.clock, limits=everything
    )
    for _ in range(2):  # what the first one adopts and reaps is the second one's garbage
        report = await collector.run()
        if report.errors:
            return [f"a collection had {report.errors} errors"]
    return await _audit(runtime)


def _with_runtime(
    store: Store, use: Callable[[Runtime], Coroutine[Any, Any, list[str]]]
) -> list[str]:
    async def run() -> list[str]:
        async with open_runtime(config_of(store), create=False) as runtime:
            return await use(runtime)

    return anyio.run(run)


def audit(store: Store) -> list[str]:
    """What `juststorage fsck --deep` without any grace finds now, a sentence each."""
    return _with_runtime(store, _audit)


def settle(store: Store, *, journal: Journal | None = None, service: Service | None = None) -> None:
    """After all leases and two collections nothing may be wrong, and nothing left over.

    The auditor is that of `juststorage fsck --deep`, without any grace. With a service, everything
    in the journal is read before and after, by id and by key.

    Raises:
        Broken: Something is.
    """
    if journal is not None and service is not None:
        journal.check(service.read, service.read_key, service.read_class)
    store.expire_leases()
    _nothing_left(store, _with_runtime(store, _settle))
    if journal is not None and service is not None:
        journal.check(service.read, service.read_key, service.read_class)


@contextmanager
def auditing(store: Store) -> Iterator[Callable[[], None]]:
    """`settle`, as often as it is called: opening the store is paid for once."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(open_runtime(config_of(store), create=False)) as runtime,
    ):

        def again() -> None:
            store.expire_leases()
            _nothing_left(store, portal.call(_settle, runtime))

        yield again


def _nothing_left(store: Store, found: list[str]) -> None:
    if found:
        raise Broken(f"the audit found: {found}")
    for leftover in ("hot", "cold"):
        with suppress(FileNotFoundError):
            rest = list((store.folder / leftover / ".trash").glob("*/*"))
            if rest:
                raise Broken(f"trash is left over: {rest}")
