"""How callers prove who they are."""

from juststorage_api._auth._api_key_backend import API_KEY
from juststorage_api._auth._options import ApiKeyOptions

__all__ = ["API_KEY", "ApiKeyOptions"]
