"""Tracing, where it is configured: who makes the spans, and what is refused before it starts.

The libraries of OpenTelemetry are imported here and nowhere else, and only once an endpoint is set.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec

from juststorage.config import Tracing
from juststorage.ports import Tracer

if TYPE_CHECKING:
    from juststorage.usecases import CollectionReport

__all__ = ["around_collections", "note_collection", "open_tracer", "tracing_problems"]

_NEEDED: Final = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
_FIELD_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FIELD_VALUE: Final = re.compile(r"[\x20-\x7e]*")


def tracing_problems(tracing: Tracing) -> list[str]:
    """What is wrong with the options, a sentence each."""
    if tracing.endpoint is None:
        return []
    problems: list[str] = []
    if not _is_endpoint(tracing.endpoint):
        problems.append(
            "tracing.endpoint: must be an http or https URL, without a user or password;"
            " credentials go to tracing.headers"
        )
    for name, value in tracing.headers.items():
        if not _FIELD_NAME.fullmatch(name) or not _FIELD_VALUE.fullmatch(value.reveal()):
            problems.append(f"tracing.headers.{name}: is no header field")
    if not all(map(_is_installed, _NEEDED)):
        problems.append(
            "tracing.endpoint: the packages of OpenTelemetry are missing:"
            " install juststorage-core[otel]"
        )
    return problems


@asynccontextmanager
async def open_tracer(tracing: Tracing) -> AsyncIterator[Tracer | None]:
    """The tracer, or None where no endpoint is set; at the end the last spans are sent.

    That takes as long as the options allow, and is not cancelled with the caller. The options have
    no problems any more: whoever made the plan has asked.
    """
    if tracing.endpoint is None:
        yield None
        return
    from juststorage.runtime._otel import OtelTracer

    tracer = OtelTracer.of(tracing)
    try:
        yield tracer
    finally:
        await tracer.aclose()


def around_collections(tracer: Tracer | None) -> Callable[[str], AbstractContextManager[object]]:
    """For `CollectGarbage`: a span of each run, which may begin a trace, and of each step."""
    if tracer is None:
        return nullcontext
    return lambda name: tracer.span(f"collect_garbage.{name}", begins=name == "run")


def note_collection(tracer: Tracer | None, report: CollectionReport) -> None:
    """Say in the current span, a run's, what the run did."""
    if tracer is not None:
        tracer.note(
            {
                f"juststorage.gc.{name}": count
                for name, count in msgspec.structs.asdict(report).items()
                if isinstance(count, int) and count
            },
            failed="collection_errors" if report.errors else None,
        )


def _is_endpoint(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and "@" not in parts.netloc
        )
    except ValueError:
        return False


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:
        return False  # the package above it is missing
