"""JSON bodies: bounded, of the announced type, and of exactly the fields that a call knows."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeVar, cast

import anyio
import msgspec

from juststorage.errors import Invalid, TooLarge, TooSlow
from juststorage_api._data._body import RequestBody
from juststorage_api._exchange import Exchange
from juststorage_api._http.depth import is_deeper
from juststorage_api._http.headers import body_length
from juststorage_api._http.media import JSON, require_media_type

__all__ = ["json_body"]

BodyT = TypeVar("BodyT")


async def json_body(
    exchange: Exchange,
    kind: type[BodyT],
    *,
    media_type: str = JSON,
) -> BodyT:
    """The body, decoded.

    Read around the framework, so that its limits, its refusals and what remains of it are those of
    all bodies.

    Raises:
        UnsupportedMediaType: It is of another media type or coding.
        TooLarge: It is over `limits.json_bytes`; told before it is read where its length was
            announced.
        TooSlow: It was not complete within `limits.request_timeout_s`.
        Invalid: It is not JSON of that shape, or deeper than `limits.json_depth`.
    """
    bytes_max, timeout_s = exchange.bounds.json_bytes, exchange.bounds.request_timeout_s
    require_media_type(exchange.fields, media_type)
    length = body_length(exchange.fields)
    if length is not None and length > bytes_max:
        raise TooLarge(f"the body is over {bytes_max} bytes")
    data = bytearray()
    try:
        with anyio.fail_after(timeout_s):
            async for chunk in RequestBody(exchange, length):
                data += chunk
                if len(data) > bytes_max:
                    raise TooLarge(f"the body is over {bytes_max} bytes")
    except TimeoutError:
        raise TooSlow(f"the body was not complete within {timeout_s:g} s") from None
    if is_deeper(data, exchange.bounds.json_depth):
        raise Invalid(f"the body is nested deeper than {exchange.bounds.json_depth} levels")
    try:
        decoded = cast("BodyT", _decoder(cast("Any", kind)).decode(bytes(data)))
    except msgspec.ValidationError as error:
        raise Invalid(_sentence(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid("the body is not valid JSON") from None
    return decoded


@lru_cache(maxsize=64)
def _decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(kind)


def _sentence(error: msgspec.ValidationError) -> str:
    """`Expected str, got int - at $.name` -> `name: expected str, got int`."""
    what, _, place = str(error).replace("`", "").partition(" - at ")
    what = f"{what[:1].lower()}{what[1:]}"
    place = place.removeprefix("$").removeprefix(".")
    return f"{place}: {what}" if place else f"the body: {what}"
