"""Header fields of requests: found once, checked where they are used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from juststorage.config import Limits
from juststorage.domain import (
    CONTENT_TYPE_LENGTH_MAX,
    DEFAULT_CONTENT_TYPE,
    ObjectMetadata,
)
from juststorage.errors import Invalid, InvalidMetadata
from juststorage_api._http.depth import is_deeper
from juststorage_api._http.problem import UnsupportedMediaType

__all__ = [
    "attachment",
    "body_length",
    "content_type",
    "fields_of",
    "media_type",
    "object_metadata",
    "refuse_coding",
    "refuse_form",
]

# Fields that may stand on several lines, which then count as one list (RFC 9110, 5.3). Any other
# field that this service reads must stand once: two of them are two meanings.
_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"expect",
        b"host",
        b"if-modified-since",
        b"if-range",
        b"if-unmodified-since",
        b"idempotency-key",
        b"range",
        b"tus-resumable",
        b"upload-length",
        b"upload-offset",
        b"x-api-key",
        b"x-content-hash",
        b"x-object-metadata",
    }
)
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_QUOTED: Final = r'"(?:[\t \x21\x23-\x5b\x5d-\x7e]|\\[\t \x21-\x7e])*"'
_MEDIA_TYPE: Final = re.compile(
    rf"{_WORD}/{_WORD}(?:[ \t]*;[ \t]*(?:{_WORD}=(?:{_WORD}|{_QUOTED}))?)*"
)
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_FILENAME_LENGTH_MAX: Final = 255
_LIMITS: Final = Limits()
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")


def fields_of(headers: Iterable[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """Header fields by lower-case name; lines of one name joined as a list.

    Raises:
        Invalid: A field stands twice that has one meaning only.
    """
    listed = list(headers)
    fields = dict(listed)
    if len(fields) == len(listed):
        return fields
    fields = {}
    for name, value in listed:
        if name not in fields:
            fields[name] = value
        elif name in _ONCE:
            raise Invalid(f"the header {name.decode('latin-1')} is repeated")
        else:
            fields[name] += b", " + value
    return fields


def body_length(fields: Mapping[bytes, bytes]) -> int | None:
    """Content-Length, or None where there is none.

    Raises:
        Invalid: It is not a number of bytes.
    """
    text = fields.get(b"content-length")
    if text is None:
        return None
    if not _LENGTH.fullmatch(text):
        raise Invalid("Content-Length is not a number of bytes")
    return int(text)


def content_type(fields: Mapping[bytes, bytes]) -> str:
    """The Content-Type to store.

    Raises:
        Invalid: It is not a media type of at most 255 ASCII characters.
    """
    text = fields.get(b"content-type")
    return DEFAULT_CONTENT_TYPE if not text else _media_type(text)


def media_type(text: str) -> str:
    """A content type that comes as text.

    Raises:
        Invalid: As `content_type`; an empty one too.
    """
    if not text.isascii():
        raise Invalid("a content type must be ASCII")
    return _media_type(text.encode())


@lru_cache(maxsize=512)
def _media_type(raw: bytes) -> str:
    text = raw.decode("latin-1")
    if len(text) > CONTENT_TYPE_LENGTH_MAX:
        raise Invalid(f"Content-Type is over {CONTENT_TYPE_LENGTH_MAX} characters")
    if not _MEDIA_TYPE.fullmatch(text):
        raise Invalid("Content-Type is not a media type such as text/plain; charset=utf-8")
    return text


def refuse_coding(fields: Mapping[bytes, bytes]) -> None:
    """Refuse a coded body: what is stored is what was sent, and it is served without a coding.

    Raises:
        UnsupportedMediaType: There is a Content-Encoding other than identity.
        Invalid: There is a Transfer-Encoding other than chunked. Servers take off that one alone,
            and what is left would be stored as if it were the content.
    """
    transfer = fields.get(b"transfer-encoding")
    if transfer is not None and transfer.strip(b" \t").lower() != b"chunked":
        raise Invalid("Transfer-Encoding must be chunked, once")
    text = fields.get(b"content-encoding")
    if text is None:
        return
    if any(coding.strip(b" \t").lower() not in {b"", b"identity"} for coding in text.split(b",")):
        raise UnsupportedMediaType("Content-Encoding is not supported: send the bytes as they are")


def refuse_form(media_type: str) -> None:
    """Refuse a form: its boundaries and part headers would be stored as part of the content.

    Raises:
        UnsupportedMediaType: The body is `multipart/form-data`, as browsers and `curl -F` send it.
    """
    if media_type.partition(";")[0].rstrip().lower() == "multipart/form-data":
        raise UnsupportedMediaType(
            "a multipart form would be stored with its boundaries: send the raw bytes as the body"
            " (curl -T file), with the file's own Content-Type"
        )


def object_metadata(fields: Mapping[bytes, bytes], limits: Limits = _LIMITS) -> ObjectMetadata:
    """`X-Object-Metadata`.

    Raises:
        InvalidMetadata: It is not ASCII, too long, too deep, or not a JSON object.
    """
    text = fields.get(b"x-object-metadata")
    if text is None:
        return ObjectMetadata.EMPTY
    if len(text) > limits.metadata_bytes:
        raise InvalidMetadata(f"X-Object-Metadata is over {limits.metadata_bytes} bytes")
    if not text.isascii():
        raise InvalidMetadata("X-Object-Metadata must be ASCII; JSON has \\u escapes for the rest")
    if is_deeper(text, limits.json_depth - 1):
        raise InvalidMetadata(f"metadata is nested deeper than {limits.json_depth - 1} levels")
    return ObjectMetadata.parse(text)


def attachment(filename: str) -> bytes:
    """A Content-Disposition that saves under `filename` (RFC 6266, 8187).

    Raises:
        Invalid: It is empty, over 255 characters, or has control characters.
    """
    if not 1 <= len(filename) <= _FILENAME_LENGTH_MAX:
        raise Invalid(f"filename must have 1 to {_FILENAME_LENGTH_MAX} characters")
    if _CONTROL.search(filename):
        raise Invalid("filename must not have control characters")
    # Quotes and backslashes are where clients disagree, and some take %41 for A: the plain form
    # has none of them, and the extended form says what was meant.
    plain = "".join(c if " " <= c <= "~" and c not in '"\\%' else "_" for c in filename)
    value = f'attachment; filename="{plain}"'
    if plain != filename:
        value += f"; filename*=UTF-8''{quote(filename, safe='!#$&+-.^_`|~')}"
    return value.encode("ascii")
