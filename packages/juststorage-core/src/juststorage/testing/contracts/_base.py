"""What all contracts have in common."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, ClassVar

import msgspec
import pytest

from juststorage.errors import JustStorageError, PluginError
from juststorage.plugins import Backend
from juststorage.ports import Clock, MetadataStore
from juststorage.testing._leaks import no_leaks
from juststorage.testing._loop_watch import BLOCKED_S, LoopWatch
from juststorage.testing._opening import open_backend

__all__ = ["Contract", "may_refuse"]


class Contract:
    """A contract for one kind of backend; subclass it under a name that starts with `Test`."""

    backend: ClassVar[Backend[Any, Any]]
    """The descriptor under test."""

    known_failures: ClassVar[Mapping[str, str]] = {}
    """Name of a test -> why it fails for now."""

    pytestmark = pytest.mark.anyio

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        unknown = [name for name in cls.known_failures if not hasattr(cls, name)]
        if unknown:
            raise TypeError(f"known_failures of {cls.__name__} names no test: {unknown}")

    @pytest.fixture
    def options(self) -> msgspec.Struct:
        """The options to open with; all defaults unless a subclass says otherwise."""
        made: msgspec.Struct = msgspec.convert({}, self.backend.options)
        return made

    @asynccontextmanager
    async def opened(
        self,
        options: msgspec.Struct,
        *,
        metadata: MetadataStore | None = None,
        audit: bool = False,
        clock: Clock | None = None,
    ) -> AsyncIterator[Any]:
        """The backend, open as in production; fails when it blocks the loop or leaves things."""
        breaches, watch = _Breaches(), LoopWatch()
        with no_leaks(), breaches.recorded(), watch.watching():
            async with open_backend(
                self.backend, options, metadata=metadata, audit=audit, clock=clock
            ) as service:
                yield service
        assert breaches.texts == []
        assert not watch.found, (
            f"the event loop stood still for over {BLOCKED_S} s in {watch.found[0]}:"
            " what waits belongs in a thread, or behind an await"
        )


@contextmanager
def may_refuse() -> Iterator[None]:
    """Let an error of `juststorage.errors` pass, but not one that the backend forgot to map."""
    try:
        yield
    except PluginError:
        raise
    except JustStorageError:
        return


class _Breaches(logging.Handler):
    """What the guard forgives in production and logs: a closing that raised, for example."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record while the block runs."""
        logger = logging.getLogger("juststorage.plugins")
        logger.addHandler(self)
        try:
            yield
        finally:
            logger.removeHandler(self)
