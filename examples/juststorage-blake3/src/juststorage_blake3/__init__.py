"""BLAKE3 as the hash of new content."""

__all__ = ["__version__"]

__version__ = "0.1.0"
