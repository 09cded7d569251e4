"""SQLite metadata for JustStorage: embedded, the default without configuration."""

__all__ = ["__version__"]

__version__ = "0.1.0"
