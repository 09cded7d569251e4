"""What the handlers of an open service call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from juststorage.config import Uploads
from juststorage.metrics import Sheet
from juststorage.runtime import Runtime, UseCases
from juststorage_api._authentication import Authentication
from juststorage_api._meters import UPLOADS_IN_FLIGHT, table
from juststorage_api._rate_limits import RateLimits

__all__ = ["Services"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The runtime, its use cases, and who is calling.

    Args:
        sheet: Where requests are counted: the runtime's own, where `serve` made that.
    """

    runtime: Runtime
    cases: UseCases
    authentication: Authentication
    sheet: Sheet
    limits: RateLimits | None = None

    @property
    def uploads(self) -> Uploads:
        """The limits on uploads."""
        return self.runtime.config.uploads

    def metrics(self) -> bytes:
        """All that is counted, in the text format of Prometheus."""
        text = self.sheet.table.text()
        if self.sheet is not self.runtime.sheet:
            text += self.runtime.sheet.table.text()
        return text

    @classmethod
    async def of(cls, runtime: Runtime) -> Self:
        """Put them together.

        Raises:
            Unavailable: The metadata store does not answer.
        """
        return cls(
            runtime=runtime,
            cases=await UseCases.of(runtime),
            sheet=_counting_http(runtime.sheet),
            authentication=Authentication(runtime.authenticators, runtime.config.auth.chain),
            limits=RateLimits.of(
                runtime.config.rate_limits, runtime.clock, runtime.metadata.tallies.add
            ),
        )


def _counting_http(sheet: Sheet) -> Sheet:
    """This sheet, or, for a program that opened the runtime without one, another beside it."""
    return sheet if UPLOADS_IN_FLIGHT in sheet.table else table(1, service=False).worker(0)
