"""The sections for those who run the service: what it tells of itself."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct, field

from juststorage.plugins._secret import Secret

__all__ = ["Metrics", "Tracing"]


class Metrics(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the service tells of itself at `/metrics`."""

    enabled: Annotated[bool, Meta(description="Answer at /metrics; else it is 404")] = True
    require_auth: Annotated[bool, Meta(description="Answer only callers with the scope admin")] = (
        False
    )
    count_interval_s: Annotated[
        float,
        Meta(
            ge=0,
            le=86_400,
            description="Time between two counts of what is stored; those of contents and physical"
            " bytes look at each content, and come less often where that takes long; 0 for never",
        ),
    ] = 15.0


class Tracing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Traces for OpenTelemetry; needs juststorage-core[otel]. Off unless an endpoint is set."""

    endpoint: Annotated[
        str | None,
        Meta(
            description="Where traces go, by OTLP over HTTP, such as"
            " http://collector:4318/v1/traces; unset means no tracing"
        ),
    ] = None
    headers: Annotated[
        dict[str, Secret],
        Meta(description="Fields of each call to the endpoint, such as authorization"),
    ] = field(default_factory=dict)
    service_name: Annotated[
        str, Meta(min_length=1, description="What traces call this service")
    ] = "juststorage"
    sampling_ratio: Annotated[
        float,
        Meta(ge=0, le=1, description="Share of the traces that begin here which are collected"),
    ] = 1.0
    continue_traces: Annotated[
        bool,
        Meta(
            description="Go on with the trace of a caller that sends a traceparent, sampled as it"
            " says; else each request begins its own"
        ),
    ] = True
    queue_spans: Annotated[
        int,
        Meta(
            ge=512,
            le=2**20,
            description="Spans of each worker that wait for the endpoint; more are dropped",
        ),
    ] = 8192
    timeout_s: Annotated[
        float,
        Meta(ge=0.1, le=300, description="Time for one call to the endpoint, retries included"),
    ] = 10.0
    flush_timeout_s: Annotated[
        float,
        Meta(ge=0, le=300, description="Time for the last spans to be sent when the service ends"),
    ] = 5.0
