"""Whether the service lives, and whether it can work."""

from __future__ import annotations

import msgspec
from litestar import get
from litestar.di import NamedDependency

from juststorage.errors import Unavailable
from juststorage.runtime import Part
from juststorage_api._routes._strict import known_parameters
from juststorage_api._services import Services

__all__ = ["health_routes"]


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """Every part of the service can do its work."""

    status: str
    parts: list[Part]


@get(
    "/health",
    guards=[known_parameters],
    operation_id="getHealth",
    summary="Liveness",
    tags=["Operations"],
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
)
async def ready(services: NamedDependency[Services]) -> Readiness:
    """Whether every part can do its work: each is asked, and has 2 s to answer.

    503 names the parts that cannot, and carries all of them in `parts`.
    """
    parts = await services.runtime.readiness()
    failing = [part.name for part in parts if not part.ok]
    if failing:
        raise Unavailable(
            f"not ready: {', '.join(failing)}",
            parts=[msgspec.to_builtins(part) for part in parts],
        )
    return Readiness("ready", parts)


health_routes = [health, ready]
