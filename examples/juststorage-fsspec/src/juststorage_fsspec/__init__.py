"""Bytes on any filesystem that fsspec knows."""

__all__ = ["__version__"]

__version__ = "0.1.0"
