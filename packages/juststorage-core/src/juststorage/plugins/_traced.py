"""Traced services: a span around each call of a port.

A guarded service is dressed once, when it opens and only where tracing is on: its methods are
replaced on the instance, so that a service that is not traced is exactly what it was. What reads or
writes piece by piece has no span of its own, because there is no end to the pieces.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Awaitable, Callable
from typing import Any, Final

from juststorage.plugins._guards import guarded_parts
from juststorage.ports import Attributes, BlobStore, MetadataStore, StagedBlob, Tracer

__all__ = ["trace_service"]

_TRACED: Final = (MetadataStore, BlobStore)

Method: typing.TypeAlias = Callable[..., Awaitable[Any]]


def trace_service(
    service: Any, port: type[Any], tracer: Tracer, instance: str, backend: str
) -> None:
    """Have a guarded service make spans: `metadata.objects.find`, `blobs.hot.place`.

    Of other ports than those of metadata and blobs there are none: they compute.

    Args:
        service: Changed in place.
        port: What it is an instance of.
        tracer: Makes the spans.
        instance: Where in the configuration it is; its spans' names begin with it.
        backend: What serves it.
    """
    if port not in _TRACED:
        return
    attributes = {"juststorage.instance": instance, "juststorage.backend": backend}
    _dress(service, port, tracer, instance, attributes)
    for name, part in guarded_parts(service):
        _dress(part, type(part).__bases__[1], tracer, f"{instance}.{name}", attributes)
    if port is BlobStore:
        service.stage = _with_spans_of_staged(service.stage, tracer, instance, attributes)


def _dress(
    service: Any, port: type[Any], tracer: Tracer, prefix: str, attributes: Attributes
) -> None:
    for name, member in vars(port).items():
        if not name.startswith("_") and inspect.iscoroutinefunction(member):
            method = getattr(service, name)
            setattr(service, name, _spanned(method, tracer, f"{prefix}.{name}", attributes))


def _spanned(method: Method, tracer: Tracer, name: str, attributes: Attributes) -> Method:
    @functools.wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        if tracer.here() is None:
            return await method(*args, **kwargs)
        with tracer.span(name, attributes):
            return await method(*args, **kwargs)

    return call


def _with_spans_of_staged(
    stage: Method, tracer: Tracer, instance: str, attributes: Attributes
) -> Method:
    """`finish` is where a large body becomes durable; what is written before is its pieces."""
    name = f"{instance}.finish"

    @functools.wraps(stage)
    async def call(*args: Any, **kwargs: Any) -> StagedBlob:
        staged: Any = await stage(*args, **kwargs)
        staged.finish = _spanned(staged.finish, tracer, name, attributes)
        return typing.cast("StagedBlob", staged)

    return call
