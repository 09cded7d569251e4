"""RunningDigests: what has been hashed of uploads that rest."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from juststorage.domain import ObjectId
from juststorage.usecases._receive import Digests

__all__ = ["RunningDigests"]

_MAX: Final = 64


class RunningDigests:
    """Digests of uploads that rest, in this process, for as long as there are not too many."""

    def __init__(self) -> None:
        self._kept: OrderedDict[ObjectId, tuple[int, Digests]] = OrderedDict()

    def put(self, upload_id: ObjectId, offset: int, digests: Digests | None) -> None:
        """Keep those of the first `offset` bytes."""
        if digests is None:
            return
        self._kept[upload_id] = offset, digests
        if len(self._kept) > _MAX:
            self._kept.popitem(last=False)

    def take(self, upload_id: ObjectId, offset: int) -> Digests | None:
        """Those of the first `offset` bytes, for whoever goes on with them; they are kept no more.

        A body that breaks off leaves them in an unknown state.
        """
        counted_to, digests = self._kept.pop(upload_id, (-1, None))
        return digests if counted_to == offset else None
