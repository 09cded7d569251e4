"""The contracts as pytest classes. Their names do not start with Test: only subclasses run."""

from juststorage.testing.contracts._base import Contract
from juststorage.testing.contracts._blob_store import BlobStoreContract
from juststorage.testing.contracts._metadata_store import MetadataStoreContract

__all__ = [
    "BlobStoreContract",
    "Contract",
    "MetadataStoreContract",
]
