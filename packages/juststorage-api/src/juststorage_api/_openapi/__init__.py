"""The OpenAPI 3.1 document, and a reference for people that is rendered from it."""

from juststorage_api._openapi.document import openapi_document
from juststorage_api._openapi.reference import reference_page, reference_style

__all__ = ["openapi_document", "reference_page", "reference_style"]
