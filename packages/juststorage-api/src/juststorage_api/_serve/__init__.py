"""`juststorage serve`: from a command line to a server that starts, drains and ends well."""

from juststorage_api._serve._command import command

__all__ = ["command"]
