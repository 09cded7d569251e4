"""BlobStoreContract: what every blob store must do."""

from __future__ import annotations

from typing import Any, ClassVar

from juststorage.plugins import BlobStoreBackend
from juststorage.testing.contracts._blob_reading import BlobReading
from juststorage.testing.contracts._blob_removing import BlobRemoving
from juststorage.testing.contracts._blob_staging import BlobStaging
from juststorage.testing.contracts._blob_writing import BlobWriting

__all__ = ["BlobStoreContract"]


class BlobStoreContract(BlobWriting, BlobStaging, BlobReading, BlobRemoving):
    """The contract of `BlobStore`. Capabilities that are not declared must not be there."""

    backend: ClassVar[BlobStoreBackend[Any]]
