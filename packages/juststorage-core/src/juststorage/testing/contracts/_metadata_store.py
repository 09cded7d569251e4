"""MetadataStoreContract: what every metadata store must do."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from juststorage.plugins import MetadataStoreBackend
from juststorage.testing._machines import run_machine
from juststorage.testing._metadata_machine import MetadataMachine
from juststorage.testing.contracts._metadata_api_keys import MetadataApiKeys
from juststorage.testing.contracts._metadata_audit import MetadataAudit
from juststorage.testing.contracts._metadata_backups import MetadataBackups
from juststorage.testing.contracts._metadata_changing import MetadataChanging
from juststorage.testing.contracts._metadata_collecting import MetadataCollecting
from juststorage.testing.contracts._metadata_idempotency import MetadataIdempotency
from juststorage.testing.contracts._metadata_keeping import MetadataKeeping
from juststorage.testing.contracts._metadata_keys import MetadataKeys
from juststorage.testing.contracts._metadata_paging import MetadataPaging
from juststorage.testing.contracts._metadata_sharing import MetadataSharing
from juststorage.testing.contracts._metadata_switching import MetadataSwitching
from juststorage.testing.contracts._metadata_uploading import MetadataUploading
from juststorage.testing.contracts._metadata_usage import MetadataUsage

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
    MetadataAudit,
    MetadataUsage,
    MetadataIdempotency,
    MetadataBackups,
    MetadataSwitching,
):
    """The contract of `MetadataStore`.

    No test moves a clock: the times are the store's own. Leases, graces and ages are 0 (over at
    once) or an hour (not over during a test).
    """

    backend: ClassVar[MetadataStoreBackend[Any]]

    machine_examples: ClassVar[int] = 30
    """Examples of the state machine; each takes some hundred calls."""

    def test_state_machine(self, options: msgspec.Struct) -> None:
        """In any order of calls the store answers what a model of dictionaries predicts."""
        run_machine(MetadataMachine, self.opened(options), examples=self.machine_examples, steps=40)
