"""Tracer: spans of what a service is doing, for whoever collects traces.

Where tracing is off there is no tracer, and whoever would ask one is given None: nothing stands
between a call and its callee then.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, TypeAlias

__all__ = ["Attributes", "SpanKind", "Tracer"]

Attributes: TypeAlias = Mapping[str, str | int | float | bool]
"""By names of OpenTelemetry's semantic conventions, or ours under `juststorage.`. Never a secret,
never the text of an error, and no value that grows with the bytes moved."""

SpanKind: TypeAlias = Literal["internal", "server", "client"]


class Tracer(ABC):
    """Makes spans. The current span is that of the task, and of the tasks that it starts.

    Nothing here raises or waits: a trace that cannot be written is lost, and no call with it. An
    exception that leaves a span's block is noted by its code, never by its text: as a failure,
    unless it is an answer such as `NotFound`.
    """

    @abstractmethod
    def span(
        self,
        name: str,
        attributes: Attributes = {},  # noqa: B006  never changed
        *,
        kind: SpanKind = "internal",
        begins: bool = False,
        carrier: Mapping[str, str] | None = None,
    ) -> AbstractContextManager[object]:
        """A span of the block, which is current in it.

        Args:
            name: One of few: no path, no id.
            attributes: What is known at the start.
            kind: Whether it serves a call, makes one, or neither.
            begins: Whether it may begin a trace. Without, a block that belongs to no trace, or to
                one that is not sampled, has no span.
            carrier: Fields that came in with a call, by lower-case names: its `traceparent` is gone
                on with.
        """

    @abstractmethod
    def here(self) -> object | None:
        """The current span, for `shared`; None where nothing is traced."""

    @abstractmethod
    def shared(
        self,
        name: str,
        members: Sequence[object | None],
        attributes: Attributes = {},  # noqa: B006  never changed
        *,
        kind: SpanKind = "internal",
    ) -> AbstractContextManager[object]:
        """A span of one call for many, linked with each of its members, and they with it.

        It lies below the first of them. Without a traced member there is no span.

        Args:
            name: One of few.
            members: What `here` said for each of the many.
            attributes: What is known at the start.
            kind: As in `span`.
        """

    @abstractmethod
    def note(
        self, attributes: Attributes, *, name: str | None = None, failed: str | None = None
    ) -> None:
        """Say more about the current span.

        Args:
            attributes: Added to those that it has.
            name: Replaces its name.
            failed: A code; marks it as a failure.
        """

    @abstractmethod
    def trace_id(self) -> str | None:
        """The id of the current trace, 32 hexadecimal digits; None where nothing is traced."""

    @abstractmethod
    def headers(self) -> dict[str, str]:
        """Fields for a call to another service, which goes on with the current trace."""
