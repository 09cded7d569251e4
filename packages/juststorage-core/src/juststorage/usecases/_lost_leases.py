"""What a lost lease makes of a failure of the blob store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from juststorage.errors import Unavailable
from juststorage.ports import Lease, ObjectRepository

__all__ = ["lost_lease_first"]


@asynccontextmanager
async def lost_lease_first(
    objects: ObjectRepository, lease: Lease, *, lease_s: float
) -> AsyncIterator[None]:
    """Around the placing of staged bytes.

    Whoever reaped an upload has swept its staged bytes too, and the blob store knows no better than
    that a file is missing. That the lease is over says more, and that trying again is in order.

    Raises:
        UploadExpired: Instead of `Unavailable`, where the lease was lost.
    """
    try:
        yield
    except Unavailable:
        await objects.renew(lease, lease_s=lease_s)
        raise
