"""Uploads: begin, reserve, commit, and their ends."""

from __future__ import annotations

from juststorage.domain import Locator
from juststorage.errors import UploadExpired
from juststorage.ports import (
    Committed,
    Content,
    Lease,
    ObjectRepository,
    Reservation,
    UploadIntent,
)
from juststorage_postgres._careful import (
    Begin,
    Commit,
    Reserve,
)
from juststorage_postgres._fast import FastLane
from juststorage_postgres._pool import Connection, Pool
from juststorage_postgres._work import Work

__all__ = ["Uploads"]

_RENEW = """
UPDATE objects SET lease_expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE id = $1::text::uuid AND status = 'WRITING' AND lease_epoch = $2 RETURNING 1"""


class Uploads(ObjectRepository):
    """The part of `ObjectRepository` that writes objects."""

    _pool: Pool
    _lane: FastLane

    async def begin(self, intent: UploadIntent, *, lease_s: float) -> Lease:
        begun = await self._lane.begin(Begin(intent, lease_s))
        assert isinstance(begun, Reservation), "without content nothing is committed"
        return begun.lease

    async def reserve(self, lease: Lease, content: Content) -> Reservation:
        return await self._lane.reserve(Reserve(lease, content))

    async def begin_reserved(
        self, intent: UploadIntent, content: Content, *, lease_s: float
    ) -> Reservation | Committed:
        return await self._lane.begin(Begin(intent, lease_s, content))

    async def commit(self, lease: Lease, locator: Locator) -> Committed:
        return await self._lane.commit(Commit(lease, locator))

    async def renew(self, lease: Lease, *, lease_s: float) -> None:
        async def run(connection: Connection) -> bool:
            found = await connection.fetchval(_RENEW, lease.object.id, lease.epoch, float(lease_s))
            return found is not None

        if not await self._pool.attempt(run, single=True):
            raise UploadExpired("the upload lost its lease")

    async def abort(self, lease: Lease) -> None:
        async def run(connection: Connection) -> None:
            work = Work(connection)
            await work.lock([lease.object.id])
            row = work.objects.get(lease.object.id)
            if row is not None and row.is_live(lease.epoch):
                work.abandon(row)
                await work.flush()

        await self._pool.attempt(run)
