"""The collector, for callers with the scope `admin`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

import msgspec
from litestar import get, post
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec import Meta

from juststorage.domain import Principal
from juststorage.usecases import CollectionReport
from juststorage_api._access import Call, require
from juststorage_api._exchange import Exchange
from juststorage_api._openapi.examples import COLLECTION, COLLECTOR
from juststorage_api._read_only import refusal
from juststorage_api._routes._body import json_body
from juststorage_api._routes._strict import known_parameters, provide_caller, provide_exchange
from juststorage_api._services import Services

__all__ = ["CollectionAsked", "admin_routes"]

_CALLER: Final = {"caller": Provide(provide_caller), "exchange": Provide(provide_exchange)}
_RUN_S: Final = 20.0
"""A run that is asked for ends after this; `more` says that another has work to do."""

_WAIT_S: Final = 20.0
"""How long a second call waits for the first one's run, before it is refused."""

_COUNT_S: Final = 5.0
"""How long each of the status's counts may take."""

Count = Annotated[int, Meta(ge=0)]


class CollectionAsked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How to collect."""

    dry_run: Annotated[bool, Meta(description="Only count the garbage")] = False
    grace_seconds: Annotated[
        Annotated[float, Meta(ge=0, le=315_360_000)] | None,
        Meta(
            description="Time that bytes without references are kept, instead of the configured"
            " `gc.grace_s`; 0 is safe",
        ),
    ] = None


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """What a run did; with `dry_run`, what it would have claimed and removed."""

    dry_run: bool
    started_at: datetime
    finished_at: datetime
    reaped: Annotated[Count, Meta(description="Uploads that had lost their lease")]
    claimed: Annotated[Count, Meta(description="Blobs taken on")]
    removed: Annotated[Count, Meta(description="Blobs removed; fewer when uploads took some back")]
    bytes_removed: Annotated[Count, Meta(description="Their bytes, which wait in the trash")]
    restored: Annotated[Count, Meta(description="Blobs that came back from the trash")]
    purged: Annotated[Count, Meta(description="Blobs deleted from the trash for good")]
    swept: Annotated[Count, Meta(description="What dead uploads had staged, deleted")]
    errors: Annotated[Count, Meta(description="What failed, and is tried again by the next run")]
    more: Annotated[bool, Meta(description="Whether a limit ended the run before the garbage did")]


class Garbage(msgspec.Struct, frozen=True, kw_only=True):
    """Blobs and their bytes."""

    blobs: Count
    bytes: Count


class Collector(msgspec.Struct, frozen=True, kw_only=True):
    """How garbage is collected, and how much of it there is."""

    enabled: Annotated[bool, Meta(description="Whether this service collects by itself")]
    policy: Annotated[str, Meta(description="Who chooses among garbage")]
    interval_s: float
    grace_s: float
    trash_retention_s: float
    due: Annotated[Garbage, Meta(description="What a run would remove now")]
    without_references: Annotated[
        Garbage, Meta(description="What a run without grace would remove now")
    ]
    more: Annotated[bool, Meta(description="Whether there is more than could be counted in time")]


@get(
    "/v1/admin/gc",
    guards=[known_parameters],
    dependencies=_CALLER,
    operation_id="getCollector",
    summary="Describe the collector",
    tags=["Administration"],
    responses={
        200: ResponseSpec(
            Collector,
            description="The collector",
            examples=[Example(summary="The collector", value=COLLECTOR)],
        )
    },
)
async def collector(
    *, services: NamedDependency[Services], caller: NamedDependency[Principal]
) -> Collector:
    """How garbage is collected, and how much there is now. Changes nothing."""
    require(caller, Call.READ_COLLECTOR)
    gc, collect = services.runtime.config.gc, services.cases.collect
    due = await collect.run(dry_run=True, seconds_max=_COUNT_S)
    every = await collect.run(dry_run=True, grace_s=0, seconds_max=_COUNT_S)
    return Collector(
        enabled=gc.enabled,
        policy=gc.policy,
        interval_s=gc.interval_s,
        grace_s=gc.grace_s,
        trash_retention_s=gc.trash_retention_s,
        due=Garbage(blobs=due.removed, bytes=due.bytes_removed),
        without_references=Garbage(blobs=every.removed, bytes=every.bytes_removed),
        more=due.more or every.more,
    )


@post(
    "/v1/admin/gc",
    guards=[known_parameters],
    dependencies=_CALLER,
    status_code=200,
    operation_id="collectGarbage",
    summary="Collect garbage now",
    tags=["Administration"],
    responses={
        200: ResponseSpec(
            Collection,
            description="What was done",
            examples=[Example(summary="A run", value=COLLECTION)],
        )
    },
)
async def collect_garbage(
    *,
    services: NamedDependency[Services],
    caller: NamedDependency[Principal],
    exchange: NamedDependency[Exchange],
) -> Collection:
    """Collect once, and say what was done. Safe beside other collectors, with any grace.

    The answer comes when the run is over: after about 20 s at most, with `more` where there is more
    to do. A second call waits for the first; where that takes too long it is 503. The body may be
    left out.
    """
    require(caller, Call.COLLECT)
    asked = CollectionAsked()
    if exchange.has_unread_body:
        asked = await json_body(exchange, CollectionAsked)
    exchange.may_take_long()  # it has a limit of its own
    if services.runtime.read_only and not asked.dry_run:
        raise refusal()
    report = await services.cases.collect.run(
        dry_run=asked.dry_run, grace_s=asked.grace_seconds, seconds_max=_RUN_S, wait_s=_WAIT_S
    )
    return _collection(report)


def _collection(report: CollectionReport) -> Collection:
    assert report.finished_at is not None, "a run that has ended"
    return Collection(
        dry_run=report.dry_run,
        started_at=report.started_at,
        finished_at=report.finished_at,
        reaped=report.reaped,
        claimed=report.claimed,
        removed=report.removed,
        bytes_removed=report.bytes_removed,
        restored=report.restored,
        purged=report.purged,
        swept=report.swept,
        errors=report.errors,
        more=report.more,
    )


admin_routes = [collector, collect_garbage]
