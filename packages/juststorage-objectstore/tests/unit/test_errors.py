"""The driver's errors as ours: none of them shows a URL, and absence is not failure."""

from __future__ import annotations

import pytest
from obstore import exceptions

from juststorage.errors import NotFound, StorageFull, Unavailable
from juststorage_objectstore._errors import NoBucket, NoRange, Refused, translate

URL = "Error performing GET https://host/bucket/key in 2 ms"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (FileNotFoundError(f"{URL}: <Code>NoSuchKey</Code>"), NotFound),
        (FileNotFoundError(f"{URL}: <Code>NoSuchBucket</Code>"), NoBucket),
        (exceptions.GenericError(f"{URL}: 507 Insufficient Storage"), StorageFull),
        (exceptions.GenericError(f"{URL}: <Code>XMinioStorageFull</Code>"), StorageFull),
        (exceptions.GenericError(f"{URL}: <Code>QuotaExceeded</Code>"), StorageFull),
        (exceptions.GenericError(f"{URL}: 416 Range Not Satisfiable"), NoRange),
        (exceptions.PermissionDeniedError(URL), Refused),
        (exceptions.UnauthenticatedError(URL), Refused),
        (exceptions.GenericError(f"{URL}: 500 Internal Server Error"), Unavailable),
        (OSError(URL), Unavailable),
        (ValueError(URL), Unavailable),
    ],
)
def test_each_has_its_kind(error: Exception, kind: type[Exception]) -> None:
    """By type where the driver has one, else by what the store said."""
    made = translate(error)
    assert type(made) is kind
    assert "http" not in str(made)


def test_ours_stay_as_they_are() -> None:
    """What was translated once is not again."""
    error = NotFound("x")
    assert translate(error) is error
