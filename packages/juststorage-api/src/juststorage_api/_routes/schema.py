"""The document and its reference, from our own paths: nothing comes from another host."""

from __future__ import annotations

from functools import cache
from typing import Final

from litestar import Response, get

from juststorage_api._dto import encode
from juststorage_api._routes._strict import known_parameters

__all__ = ["schema_routes"]

_HEADERS: Final = {
    # The page needs its own style sheet and nothing else: no script, no image, no other host.
    "content-security-policy": "default-src 'none'; style-src 'self'; base-uri 'none';"
    " form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


@cache
def _document() -> bytes:
    from juststorage_api._openapi.document import openapi_document

    return encode(openapi_document())


@cache
def _page() -> bytes:
    from juststorage_api._openapi.document import openapi_document
    from juststorage_api._openapi.reference import reference_page

    return reference_page(openapi_document()).encode()


# In a thread: the first call imports what it needs and makes the document, in half a second.
@get(
    "/schema/openapi.json",
    guards=[known_parameters],
    include_in_schema=False,
    sync_to_thread=True,
)
def openapi_json() -> Response[bytes]:
    """The OpenAPI document."""
    return Response(_document(), media_type="application/json", headers=_HEADERS)


@get("/schema", guards=[known_parameters], include_in_schema=False, sync_to_thread=True)
def reference() -> Response[bytes]:
    """The reference for people."""
    return Response(_page(), media_type="text/html", headers=_HEADERS)


@get(
    "/schema/reference.css",
    guards=[known_parameters],
    include_in_schema=False,
    sync_to_thread=True,
)
def style() -> Response[bytes]:
    """The reference's style sheet."""
    from juststorage_api._openapi.reference import reference_style

    return Response(reference_style(), media_type="text/css", headers=_HEADERS)


schema_routes = [openapi_json, reference, style]
