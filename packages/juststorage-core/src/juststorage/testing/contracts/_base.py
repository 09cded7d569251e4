"""What all contracts have in common."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import msgspec
import pytest

from juststorage.plugins import Backend
from juststorage.testing._leaks import no_leaks
from juststorage.testing._opening import open_backend

__all__ = ["Contract"]


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
    async def opened(self, options: msgspec.Struct) -> AsyncIterator[Any]:
        """The backend, open as in production; fails when closing leaves something behind."""
        with no_leaks():
            async with open_backend(self.backend, options) as service:
                yield service
