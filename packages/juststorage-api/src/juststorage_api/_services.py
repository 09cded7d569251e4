"""What the handlers of an open service call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from juststorage.config import Uploads
from juststorage.runtime import Runtime, UseCases
from juststorage_api._authentication import Authentication
from juststorage_api._rate_limits import RateLimits

__all__ = ["Services"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The runtime, its use cases, and who is calling."""

    runtime: Runtime
    cases: UseCases
    authentication: Authentication
    limits: RateLimits | None = None

    @property
    def uploads(self) -> Uploads:
        """The limits on uploads."""
        return self.runtime.config.uploads

    @classmethod
    async def of(cls, runtime: Runtime) -> Self:
        """Put them together.

        Raises:
            Unavailable: The metadata store does not answer.
        """
        return cls(
            runtime=runtime,
            cases=await UseCases.of(runtime),
            authentication=Authentication(runtime.authenticators, runtime.config.auth.chain),
            limits=RateLimits.of(
                runtime.config.rate_limits, runtime.clock, runtime.metadata.tallies.add
            ),
        )
