"""GET /v1/objects, described.

As a handler, for the framework to take the shape of a page from; the front answers the call itself.
"""

from __future__ import annotations

from typing import Annotated, Final

from litestar import get
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import FromQuery, QueryParameter

from juststorage.domain import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from juststorage_api._dto import ObjectPage
from juststorage_api._openapi.examples import NEXT_CURSOR, OBJECT

__all__ = ["list_objects"]

_PAGE: Final = Example(summary="A page", value={"objects": [OBJECT], "next_cursor": NEXT_CURSOR})


@get(
    "/v1/objects",
    operation_id="listObjects",
    summary="List objects",
    tags=["Objects"],
    responses={200: ResponseSpec(ObjectPage, description="A page", examples=[_PAGE])},
)
async def list_objects(
    *,
    namespace: FromQuery[str | None] = None,
    tenant_id: FromQuery[str | None] = None,
    prefix: FromQuery[str | None] = None,
    limit: Annotated[int, QueryParameter(ge=1, le=PAGE_SIZE_MAX)] = PAGE_SIZE_DEFAULT,
    cursor: FromQuery[str | None] = None,
) -> ObjectPage:
    """One page of a tenant's objects, newest first, or by key where a `prefix` is given.

    Every object that is there during the whole walk is seen exactly once, whatever others write
    meanwhile, and a page costs the same at any depth.
    """
    raise AssertionError("this handler serves nobody")
