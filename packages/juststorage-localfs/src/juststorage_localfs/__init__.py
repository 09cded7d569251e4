"""Blobs as content-addressed files in hot and cold directories."""

__all__ = ["__version__"]

__version__ = "0.1.0"
