"""Which media type a JSON body must have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from juststorage_api._http.headers import refuse_coding
from juststorage_api._http.problem import UnsupportedMediaType

__all__ = ["JSON", "MERGE_PATCH", "require_media_type"]

JSON: Final = "application/json"
MERGE_PATCH: Final = "application/merge-patch+json"


def require_media_type(fields: Mapping[bytes, bytes], media_type: str) -> None:
    """Refuse a body of another type or coding; parameters such as a charset are ignored.

    Raises:
        UnsupportedMediaType: It is another one, or none.
    """
    refuse_coding(fields)
    given = fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if given != media_type.encode():
        raise UnsupportedMediaType(f"this call takes a body of the type {media_type}")
