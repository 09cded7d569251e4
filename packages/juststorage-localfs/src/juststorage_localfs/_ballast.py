"""Ballast: blocks of the volume that removing gets where there are no others.

A blob that is removed moves to the trash first, into a new directory every ten minutes, and
directories grow. On a volume without one free block the collector could move nothing, hence free
nothing. So a file in the root keeps blocks, a piece of which is thrown off whenever one of its
calls finds the volume full; the call is made again. Once there is room, the file is made whole.

The bytes of uploads never get any of it.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from juststorage_localfs._layout import BALLAST

if TYPE_CHECKING:
    from juststorage_localfs._volume import Volume

__all__ = ["BALLAST_BYTES", "Ballast"]

P = ParamSpec("P")
T = TypeVar("T")

BALLAST_BYTES: Final = 1024 * 1024
"""Enough for the directory entries of about 9,000 blobs, on ext4."""

_PIECE_BYTES: Final = 64 * 1024
"""What is thrown off at once: whoever has filled the volume takes what is left of it."""

_MARGIN_BYTES: Final = 4 * 1024 * 1024
"""What has to stay free when it is made."""

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT})


class Ballast:
    """That of one root. Blocks; for many threads, and several processes.

    Two that throw off at once may throw off one piece: both try again.

    Args:
        volume: The root.
        may_make: Whether to make the file where there is none. Otherwise it is only made whole
            again, so that it belongs to the service and not to who ran a command.
    """

    def __init__(self, volume: Volume, *, may_make: bool) -> None:
        self._volume = volume
        self._flags = os.O_RDWR | os.O_NOFOLLOW | (os.O_CREAT if may_make else 0)
        self.is_short = True
        """Whether some is missing, as far as this process knows."""

    def keep(self, free_bytes: int) -> None:
        """Make it, or make it whole again, where that leaves room. Raises nothing.

        Args:
            free_bytes: What is free on the volume.
        """
        if free_bytes < BALLAST_BYTES + _MARGIN_BYTES:
            return
        ops, root_fd = self._volume.ops, self._volume.root_fd
        # Without it everything works, except where there is not one block.
        with suppress(OSError):
            fd = ops.open(BALLAST, self._flags, dir_fd=root_fd)
            try:
                ops.allocate(fd, BALLAST_BYTES)
            finally:
                ops.close(fd)
            self.is_short = False

    def in_need(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Make a call to the filesystem that removing rests on. Raises `OSError`."""
        while True:
            try:
                return call(*args, **kwargs)
            except OSError as error:
                if error.errno not in _FULL or not self._throw_off():
                    raise

    def _throw_off(self) -> bool:
        """Give the volume a piece; whether there was one."""
        ops, root_fd = self._volume.ops, self._volume.root_fd
        self.is_short = True
        with suppress(OSError):
            fd = ops.open(BALLAST, os.O_RDWR | os.O_NOFOLLOW, dir_fd=root_fd)
            try:
                kept = ops.fstat(fd).st_size
                ops.truncate(fd, max(0, kept - _PIECE_BYTES))
            finally:
                ops.close(fd)
            return kept > 0
        return False
