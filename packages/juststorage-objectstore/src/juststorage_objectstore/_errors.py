"""From the driver's errors to ours, at the inner edge."""

from __future__ import annotations

from typing import Final

from obstore import exceptions

from juststorage.errors import JustStorageError, NotFound, StorageFull, Unavailable

__all__ = ["DRIVER_ERRORS", "NoBucket", "NoRange", "Refused", "translate"]

DRIVER_ERRORS: Final = (exceptions.BaseError, OSError, ValueError)
"""Everything that a call of obstore raises."""

_FULL: Final = ("507 Insufficient", "QuotaExceeded", "StorageFull", "NoSpaceLeft")
_NO_BUCKET: Final = ("NoSuchBucket", "ContainerNotFound", "bucket does not exist")
_NO_RANGE: Final = ("416 Range", "non-partial response")
_NO_ACCESS: Final = ("403 Forbidden", "401 Unauthorized")
_REFUSED: Final = (exceptions.PermissionDeniedError, exceptions.UnauthenticatedError)


class Refused(Unavailable):
    """The store knows who is asking, and says no; or does not know."""


class NoBucket(Unavailable):
    """There is no such bucket. Not to be taken for the absence of one blob."""


class NoRange(Unavailable):
    """The object has no such bytes."""


def translate(error: BaseException) -> JustStorageError:
    """The error of ours that says the same, without URLs. The caller raises it `from` the old."""
    if isinstance(error, JustStorageError):
        return error
    text = str(error)
    if any(word in text for word in _NO_BUCKET):
        return NoBucket("the bucket does not exist")
    if isinstance(error, FileNotFoundError):
        return NotFound("there is no such blob")
    if isinstance(error, _REFUSED) or any(word in text for word in _NO_ACCESS):
        return Refused("the object store refuses access")
    if any(word in text for word in _NO_RANGE):
        return NoRange("the object store does not send that range")
    if any(word in text for word in _FULL):
        return StorageFull("there is not enough room in the object store")
    return Unavailable("the object store failed or did not answer")
