"""Whether the service lives, and whether it can work."""

from __future__ import annotations

from typing import Final

import msgspec
from litestar import get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

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
    """Every part of the service can do its work."""

    status: str
    parts: list[Part]


_ALIVE: Final = Example(summary="Alive", value={"status": "ok"})
_READY: Final = Example(
    summary="Ready",
    value={
        "status": "ready",
        "parts": [{"name": "metadata", "ok": True, "detail": NULL, "latency_ms": 1.69}],
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
