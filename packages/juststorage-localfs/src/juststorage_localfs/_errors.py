"""From the operating system's errors to ours, at the inner edge."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from juststorage.errors import Corrupt, JustStorageError, StorageFull, Unavailable

__all__ = ["read_back", "translate", "translated"]

_DETAILS = {
    errno.EROFS: "the volume is read-only",
    errno.EACCES: "the volume refuses access",
    errno.EPERM: "the volume refuses access",
    errno.EIO: "the volume reports an input/output error",
    errno.EMFILE: "too many files are open",
    errno.ENFILE: "too many files are open",
    errno.ENOENT: "a file or directory of the volume is missing",
}
_LOST = frozenset({errno.EIO, errno.EBADMSG, errno.EUCLEAN, errno.ENODATA})
"""What reading answers where the medium does not give bytes back, or they fail its checksum."""


def translate(error: OSError) -> JustStorageError:
    """The error of ours that says the same, without a path. The caller raises it `from` the old."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return StorageFull("there is not enough free space on the volume")
    name = errno.errorcode.get(error.errno or 0, "unknown error")
    return Unavailable(_DETAILS.get(error.errno or 0, f"the volume failed: {name}"))


@contextmanager
def translated() -> Iterator[None]:
    """Translate what is raised inside."""
    try:
        yield
    except OSError as error:
        raise translate(error) from error


@contextmanager
def read_back() -> Iterator[None]:
    """Translate what reading a blob's bytes raises: lost bytes are damage, all else may pass."""
    try:
        yield
    except OSError as error:
        if error.errno in _LOST:
            raise Corrupt("the volume cannot read the blob's bytes back") from error
        raise translate(error) from error
