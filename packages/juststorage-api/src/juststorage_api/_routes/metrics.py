"""What the service counts, for Prometheus."""

from __future__ import annotations

from typing import Final

from litestar import Response, get
from litestar.di import NamedDependency, Provide
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example

from juststorage.domain import Scope
from juststorage.errors import NotFound
from juststorage.metrics import TEXT_FORMAT
from juststorage_api._exchange import Exchange
from juststorage_api._routes._strict import known_parameters, provide_exchange
from juststorage_api._services import Services

__all__ = ["metrics_routes"]

_EXAMPLE: Final = """\
# HELP juststorage_http_requests_total Requests that are over. Status 499: the client was gone.
# TYPE juststorage_http_requests_total counter
juststorage_http_requests_total{method="GET",route="/v1/objects/{id}",status="200"} 4711
"""


@get(
    "/metrics",
    guards=[known_parameters],
    dependencies={"exchange": Provide(provide_exchange)},
    media_type=TEXT_FORMAT,
    operation_id="getMetrics",
    summary="Metrics",
    tags=["Operations"],
    responses={
        200: ResponseSpec(
            str,
            description="The text format of Prometheus",
            media_type=TEXT_FORMAT,
            examples=[Example(summary="The beginning", value=_EXAMPLE)],
            generate_examples=False,
        )
    },
)
async def metrics(
    *, services: NamedDependency[Services], exchange: NamedDependency[Exchange]
) -> Response[bytes]:
    """What all workers of this instance have counted, whichever of them answers.

    Open to everyone, unless the service is configured to ask for the scope `admin`.
    """
    options = services.runtime.config.metrics
    if not options.enabled:
        raise NotFound("there is no such resource")
    if options.require_auth:
        caller = await services.authentication.principal(exchange.scope, exchange.fields)
        exchange.principal = caller
        caller.require_scope(Scope.ADMIN)
    return Response(
        services.metrics(), media_type=TEXT_FORMAT, headers={"cache-control": "no-store"}
    )


metrics_routes = [metrics]
