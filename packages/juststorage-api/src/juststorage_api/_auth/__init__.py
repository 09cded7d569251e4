"""How callers prove who they are."""

from juststorage_api._auth._anonymous import ANONYMOUS, AnonymousOptions
from juststorage_api._auth._api_key_backend import API_KEY
from juststorage_api._auth._jwt_backend import JWT
from juststorage_api._auth._jwt_options import JwtOptions
from juststorage_api._auth._options import ApiKeyOptions
from juststorage_api._auth._trusted_header import TRUSTED_HEADER, TrustedHeaderOptions

__all__ = [
    "ANONYMOUS",
    "API_KEY",
    "JWT",
    "TRUSTED_HEADER",
    "AnonymousOptions",
    "ApiKeyOptions",
    "JwtOptions",
    "TrustedHeaderOptions",
]
