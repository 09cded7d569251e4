"""The calls that carry JSON, as a Litestar application."""

from juststorage_api._routes.application import Routes

__all__ = ["Routes"]
