"""How long an upload that rests is kept."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage.domain import StorageClass
from juststorage.errors import OffsetMismatch, UploadInUse

DATA = b"0123456789"


class TestLeases:
    """How long it may rest, and what that takes."""

    async def reaped(self, service: Any, after_s: float) -> bool:
        """Whether it is over by then."""
        await service.clock.advance(after_s)
        return bool(await service.metadata.objects.reap(limit=9))

    async def test_what_brings_nothing_prolongs_nothing(self, service: Any, resuming: Any) -> None:
        """A wrong offset, a body that is none, and a request while another one is at it."""
        ticket, case = await resuming.begun(), resuming.case()
        short_s = service.limits.lease_s
        await service.clock.advance(short_s - 2)
        with pytest.raises(OffsetMismatch):
            await case.append(ticket, 4, service.body(DATA[4:]))
        async with await service.blobs[StorageClass.HOT].resume(ticket.upload_id):
            with pytest.raises(UploadInUse):
                await case.append(ticket, 0, service.body(DATA))
        with pytest.raises(ConnectionResetError):
            await case.append(ticket, 0, resuming.broken())
        assert not await self.reaped(service, 1)
        assert await self.reaped(service, short_s)

    async def test_an_empty_request_has_the_short_lease(self, service: Any, resuming: Any) -> None:
        """And is told so."""
        ticket, case = await resuming.begun(), resuming.case()
        state = await case.append(ticket, 0, service.body())
        assert state.lives_for_s == service.limits.lease_s
        assert await self.reaped(service, service.limits.lease_s + 1)

    @pytest.mark.parametrize("breaks", [False, True])
    async def test_bytes_that_were_kept_have_the_long_one(
        self, service: Any, resuming: Any, *, breaks: bool
    ) -> None:
        """Whether or not the request that brought them came to its end."""
        data = bytes(range(256)) * 20_000
        case = resuming.case()
        ticket = case.ticket(await case.begin(service.intent("k"), len(data)))
        if breaks:
            with pytest.raises(ConnectionResetError):
                await case.append(
                    ticket, 0, resuming.broken(data[:2_500_000], data[2_500_000:5_000_000])
                )
        else:
            state = await case.append(ticket, 0, service.body(DATA[:4]))
            assert state.lives_for_s == 3600.0
        assert not await self.reaped(service, 3599)
        assert await self.reaped(service, 2)

    async def test_another_offset_does_not_cut_it_short(self, service: Any, resuming: Any) -> None:
        """What rests for long goes on resting for long."""
        ticket, case = await resuming.begun(), resuming.case()
        await case.append(ticket, 0, service.body(DATA[:4]))
        with pytest.raises(OffsetMismatch):
            await case.append(ticket, 0, service.body(DATA))
        assert not await self.reaped(service, 3599)
