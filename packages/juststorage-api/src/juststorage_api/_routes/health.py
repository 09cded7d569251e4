"""Whether the service lives, and whether it can work."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from msgspec import Meta

from juststorage.errors import Unavailable
from juststorage.runtime import Part
from juststorage_api._openapi.examples import NULL
from juststorage_api._routes._strict import known_parameters
from juststorage_api._services import Services

__all__ = ["health_routes"]


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Every part of the service can do its work, or what its callers need of it most."""

    status: Annotated[
        Literal["ready", "degraded"],
        Meta(
            description="degraded: a part does only some of its work; without room, the service"
            " reads and deletes, and takes nothing new"
        ),
    ]
    read_only: Annotated[bool, Meta(description="Whether changes of objects are refused")]
    parts: list[Part]


class Startup(msgspec.Struct, frozen=True):
    """Every worker is ready, or has been."""

    status: str
    workers: Annotated[int, Meta(description="How many this instance has")]
    started_at: Annotated[datetime, Meta(description="When the first of them was ready")]


_ALIVE: Final = Example(summary="Alive", value={"status": "ok"})
_STARTED: Final = Example(
    summary="Started",
    value={"status": "started", "workers": 2, "started_at": "2026-11-25T10:00:00.000000Z"},
)
_READY: Final = Example(
    summary="Ready",
    value={
        "status": "ready",
        "read_only": False,
        "parts": [
            {
                "name": "metadata",
                "ok": True,
                "degraded": False,
                "detail": NULL,
                "latency_ms": 1.69,
            }
        ],
    },
)


@get(
    "/health",
    guards=[known_parameters],
    operation_id="getHealth",
    summary="Liveness",
    tags=["Operations"],
    responses={200: ResponseSpec(Health, description="It lives", examples=[_ALIVE])},
)
async def health() -> Health:
    """Whether the process answers. Asks nobody else."""
    return Health("ok")


@get(
    "/health/ready",
    guards=[known_parameters],
    operation_id="getReadiness",
    summary="Readiness",
    tags=["Operations"],
    responses={200: ResponseSpec(Readiness, description="It works", examples=[_READY])},
)
async def ready(services: NamedDependency[Services]) -> Readiness:
    """Whether every part can do its work: each is asked, and has 2 s to answer.

    503 names the parts that cannot, and carries all of them in `parts`. A volume without room is no
    reason for it: then the status is `degraded`, because everything but an upload still works. So
    it is while a collector leaves alone what the database does not know, because it is so much.
    """
    parts = await services.runtime.readiness()
    failing = [part.name for part in parts if not part.ok]
    if failing:
        raise Unavailable(
            f"not ready: {', '.join(failing)}",
            parts=[msgspec.to_builtins(part) for part in parts],
        )
    read_only = services.runtime.read_only
    is_whole = not (read_only or any(part.degraded for part in parts))
    return Readiness("ready" if is_whole else "degraded", read_only, parts)


@get(
    "/health/startup",
    guards=[known_parameters],
    operation_id="getStartup",
    summary="Start-up",
    tags=["Operations"],
    responses={200: ResponseSpec(Startup, description="It has started", examples=[_STARTED])},
)
async def started(services: NamedDependency[Services]) -> Startup:
    """Whether all workers of this instance have become ready. Asks nobody else.

    Until the first of them has, nothing listens.
    """
    sheet = services.runtime.sheet
    ready, workers = int(sheet.table.value("juststorage_worker_starts_total")), sheet.table.workers
    if ready < workers:
        raise Unavailable(f"starting: {ready} of {workers} workers are ready")
    began = datetime.fromtimestamp(sheet.common("juststorage_start_time_seconds"), UTC)
    return Startup("started", workers, began)


health_routes = [health, ready, started]
