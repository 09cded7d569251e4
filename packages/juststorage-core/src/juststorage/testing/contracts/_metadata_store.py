"""MetadataStoreContract: what every metadata store must do."""

from __future__ import annotations

from typing import Any, ClassVar

from juststorage.plugins import MetadataStoreBackend
from juststorage.testing.contracts._metadata_api_keys import MetadataApiKeys
from juststorage.testing.contracts._metadata_changing import MetadataChanging
from juststorage.testing.contracts._metadata_collecting import MetadataCollecting
from juststorage.testing.contracts._metadata_keeping import MetadataKeeping
from juststorage.testing.contracts._metadata_keys import MetadataKeys
from juststorage.testing.contracts._metadata_paging import MetadataPaging
from juststorage.testing.contracts._metadata_sharing import MetadataSharing
from juststorage.testing.contracts._metadata_uploading import MetadataUploading

__all__ = ["MetadataStoreContract"]


class MetadataStoreContract(
    MetadataUploading,
    MetadataKeys,
    MetadataChanging,
    MetadataPaging,
    MetadataSharing,
    MetadataCollecting,
    MetadataKeeping,
    MetadataApiKeys,
):
    """The contract of `MetadataStore`.

    No test moves a clock: the times are the store's own. Leases, graces and ages are 0 (over at
    once) or an hour (not over during a test).
    """

    backend: ClassVar[MetadataStoreBackend[Any]]
