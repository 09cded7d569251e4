"""What the server signs, and takes back."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
import pytest

from juststorage.domain import Conditions, ContentHash
from juststorage.errors import NotFound
from juststorage.ports import Lease
from juststorage.usecases import TicketCodec, UploadTicket

DATA = b"0123456789"
HASH = ContentHash("sha256:" + hashlib.sha256(DATA).hexdigest())
WRONG = ContentHash("sha256:" + "0" * 64)


class TestTickets:
    async def test_every_part_of_it_comes_back(self, service: Any, resuming: Any) -> None:
        """What begin was told is what the last request acts by."""
        conditions = Conditions(if_match=frozenset({HASH, WRONG}), if_none_match=frozenset())
        intent = service.intent("ключ/ß", replace=True, conditions=conditions)
        lease = Lease(intent=intent, object=(await resuming.begun()).lease.object, epoch=7)
        lease = msgspec.structs.replace(
            lease, object=msgspec.structs.replace(lease.object, key=intent.new.key)
        )
        codec = TicketCodec(b"s" * 32)
        ticket = UploadTicket(lease=lease, size_bytes=2**40, expected=(HASH,))
        again = codec.decode(codec.encode(ticket))
        assert again.lease.intent.conditions == conditions
        assert again.lease.intent.replace is True
        assert (again.lease.object, again.lease.epoch) == (lease.object, 7)
        assert (again.size_bytes, again.expected) == (2**40, (HASH,))

    async def test_what_was_not_signed_here(self, service: Any, resuming: Any) -> None:
        """Whatever is changed, cut off or made up, there is no such upload."""
        codec = TicketCodec(b"s" * 32)
        text = codec.encode(await resuming.begun())
        for forged in (
            "", "x", text[:-1], text + "AAAA", text[:5] + chr(ord(text[5]) ^ 1) + text[6:],
            "é" + text, "%" + text, "A" * 100, "A" * 40_000,
            TicketCodec(b"t" * 32).encode(codec.decode(text)),
        ):  # fmt: skip
            with pytest.raises(NotFound):
                codec.decode(forged)
