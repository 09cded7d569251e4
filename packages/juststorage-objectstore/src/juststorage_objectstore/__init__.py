"""Blobs as objects in S3-compatible stores, Google Cloud Storage or Azure."""

__all__ = ["__version__"]

__version__ = "0.1.0"
