"""JSON Web Tokens, verified. Imported only where they are configured: what it needs is heavy."""

from juststorage_api._auth.jwt._opening import open_jwt

__all__ = ["open_jwt"]
