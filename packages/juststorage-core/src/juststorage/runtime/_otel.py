"""The tracer of OpenTelemetry's SDK, with its exporter for OTLP over HTTP.

Spans are sent by a thread of the SDK's, in batches. An endpoint that is slow or away costs spans,
never a request: what does not fit the queue is dropped.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from importlib.metadata import version
from random import random
from time import monotonic
from typing import Any, Final, Self, cast

import anyio
import anyio.to_thread
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, Span, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from juststorage.config import Tracing
from juststorage.errors import (
    Corrupt,
    JustStorageError,
    Misconfigured,
    PluginError,
    StorageFull,
    Unavailable,
)
from juststorage.ports import Attributes, SpanKind, Tracer

__all__ = ["OtelTracer"]

_KINDS: Final[Mapping[SpanKind, trace.SpanKind]] = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
}
_FAILURES: Final = (Corrupt, Misconfigured, PluginError, StorageFull, Unavailable)
"""What is no answer to what was asked."""

_BATCH_SPANS: Final = 512
_BATCH_PAUSE_MS: Final = 1000
_LINKS_MAX: Final = 1024
"""More than any statement is shared by."""

_NOTHING: Final = nullcontext()
"""What is done without a span."""

_TELL_S: Final = 60.0
"""Between two lines that say the same of the exporter: it tries, and fails, again and again."""

_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.sdk._shared_internal",
)
_log: Final = logging.getLogger("juststorage.tracing")


class OtelTracer(Tracer):
    """See `Tracer`. To be made in the process that uses it: it has a thread.

    Args:
        provider: Owned from now on. It collects whatever it is asked to.
        ratio: Share of the traces that begin here which are collected.
        continues: Whether a caller's trace is gone on with.
        flush_timeout_s: How long closing may take.
    """

    def __init__(
        self,
        provider: TracerProvider,
        *,
        ratio: float,
        continues: bool,
        flush_timeout_s: float,
    ) -> None:
        self._provider = provider
        self._ratio = ratio
        self._start = provider.get_tracer("juststorage", version("juststorage-core")).start_span
        self._continues = continues
        self._flush_timeout_s = flush_timeout_s
        # Not OpenTelemetry's own context: only spans that are collected are ever in it, and to ask
        # it costs a twentieth.
        self._current: ContextVar[Span | None] = ContextVar("span", default=None)
        self._wire = TraceContextTextMapPropagator()
        self._seldom = _Seldom()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._seldom)

    @classmethod
    def of(cls, tracing: Tracing) -> Self:
        """As configured; the endpoint is not called yet."""
        exporter = OTLPSpanExporter(
            endpoint=tracing.endpoint,
            headers={name: value.reveal() for name, value in tracing.headers.items()},
            timeout=tracing.timeout_s,
            compression=Compression.Gzip,
        )
        provider = TracerProvider(
            # Decided before the SDK is asked for anything: see `span`.
            sampler=ALWAYS_ON,
            # With what OTEL_RESOURCE_ATTRIBUTES adds, where operators put names of pods and nodes.
            resource=Resource.create(
                {
                    "service.name": tracing.service_name,
                    "service.version": version("juststorage-core"),
                }
            ),
            span_limits=SpanLimits(max_links=_LINKS_MAX),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(
            BatchSpanProcessor(
                exporter,
                max_queue_size=tracing.queue_spans,
                schedule_delay_millis=_BATCH_PAUSE_MS,
                max_export_batch_size=_BATCH_SPANS,
            )
        )
        return cls(
            provider,
            ratio=tracing.sampling_ratio,
            continues=tracing.continue_traces,
            flush_timeout_s=tracing.flush_timeout_s,
        )

    def span(
        self,
        name: str,
        attributes: Attributes = {},  # noqa: B006  never changed
        *,
        kind: SpanKind = "internal",
        begins: bool = False,
        carrier: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[object]:
        parent = self._current.get()
        links: list[Link] = []
        if parent is not None:
            context = trace.set_span_in_context(parent, Context())
        elif not begins or (not carrier and not self._collects_own()):
            return _NOTHING
        else:
            context = Context()
            if carrier:
                context = self._wire.extract(carrier, context)
                caller = trace.get_current_span(context).get_span_context()
                if caller.is_valid and not self._continues:
                    context, links, caller = Context(), [Link(caller)], trace.INVALID_SPAN_CONTEXT
                # Here and not by a sampler of the SDK's, which is asked when most work is done.
                if not (caller.trace_flags.sampled if caller.is_valid else self._collects_own()):
                    return _NOTHING
        return self._in_span(
            self._start(
                name, context=context, kind=_KINDS[kind], attributes=attributes, links=links
            )
        )

    def _collects_own(self) -> bool:
        """Whether a trace that begins here is collected."""
        return random() < self._ratio  # noqa: S311  no secret

    def here(self) -> object | None:
        return self._current.get()

    def shared(
        self,
        name: str,
        members: Sequence[object | None],
        attributes: Attributes = {},  # noqa: B006  never changed
        *,
        kind: SpanKind = "internal",
    ) -> AbstractContextManager[object]:
        # One whose caller is gone has ended.
        traced = [span for span in cast("Sequence[Span | None]", members) if span is not None]
        traced = [span for span in traced if span.is_recording()]
        if not traced:
            return _NOTHING
        first, *others = traced
        made = self._start(
            name,
            context=trace.set_span_in_context(first, Context()),
            kind=_KINDS[kind],
            attributes={**attributes, "juststorage.shared_by": len(members)},
            links=[Link(span.get_span_context()) for span in others],
        )
        for span in others:
            span.add_link(made.get_span_context())
        return self._in_span(made)

    @contextmanager
    def _in_span(self, span: Span) -> Iterator[None]:
        """Make it the current one, and end it; an exception is noted without its text."""
        before = self._current.set(span)
        try:
            yield
        except asyncio.CancelledError:
            span.set_attribute("error.type", "cancelled")
            raise
        except JustStorageError as error:
            span.set_attribute("error.type", error.code)
            if isinstance(error, _FAILURES):
                span.set_status(Status(StatusCode.ERROR))
            raise
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            self._current.reset(before)
            span.end()

    def note(
        self, attributes: Attributes, *, name: str | None = None, failed: str | None = None
    ) -> None:
        span = self._current.get()
        if span is None:
            return
        span.set_attributes(attributes)
        if name is not None:
            span.update_name(name)
        if failed is not None:
            span.set_attribute("error.type", failed)
            span.set_status(Status(StatusCode.ERROR))

    def trace_id(self) -> str | None:
        span = self._current.get()
        return None if span is None else trace.format_trace_id(span.get_span_context().trace_id)

    def headers(self) -> dict[str, str]:
        carrier: dict[str, str] = {}
        span = self._current.get()
        if span is not None:
            self._wire.inject(carrier, trace.set_span_in_context(span, Context()))
        return carrier

    async def aclose(self) -> None:
        """Send what waits, for as long as that may take, and end."""
        # A daemon: whoever waits for a network that is gone must not keep the process.
        sending = threading.Thread(target=self._provider.shutdown, name="spans", daemon=True)
        sending.start()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(sending.join, self._flush_timeout_s)
        if sending.is_alive():
            _log.warning("the last spans were not sent within %g s", self._flush_timeout_s)
        for name in _LOGGERS:
            logging.getLogger(name).removeFilter(self._seldom)


class _Seldom(logging.Filter):
    """Lets the same message through once in a while."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[Any, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = monotonic()
        if now - self._told.get(record.msg, -_TELL_S) < _TELL_S:
            return False
        self._told[record.msg] = now
        return True
