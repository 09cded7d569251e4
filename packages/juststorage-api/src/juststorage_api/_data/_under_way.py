"""UploadsUnderWay: how many bodies a worker takes at once."""

from __future__ import annotations

from typing import Final

from juststorage.errors import Unavailable
from juststorage_api._meters import UPLOADS_IN_FLIGHT
from juststorage_api._services import Services

__all__ = ["UploadsUnderWay"]


class UploadsUnderWay:
    """A context manager around each of them, and the gauge that tells how many there are.

    Raises (on entry):
        Unavailable: There are as many as there may be.
    """

    __slots__ = ("_count", "_max", "_sheet")

    def __init__(self, services: Services) -> None:
        self._count = 0
        self._max: Final = services.runtime.config.limits.uploads_in_flight
        self._sheet: Final = services.sheet
        self._sheet.set(UPLOADS_IN_FLIGHT, 0)

    def __enter__(self) -> None:
        if self._count >= self._max:
            raise Unavailable(f"{self._max} uploads are under way; more have to wait")
        self._count += 1
        self._sheet.set(UPLOADS_IN_FLIGHT, self._count)

    def __exit__(self, *_: object) -> None:
        self._count -= 1
        self._sheet.set(UPLOADS_IN_FLIGHT, self._count)
