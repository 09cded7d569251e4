"""BlobStoreContract: what every blob store must do."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
from anyio.from_thread import BlockingPortal

from juststorage.plugins import BlobStoreBackend
from juststorage.ports import BlobStore
from juststorage.testing._blob_machine import BlobMachine
from juststorage.testing._machines import run_machine
from juststorage.testing.contracts._blob_reading import BlobReading
from juststorage.testing.contracts._blob_removing import BlobRemoving
from juststorage.testing.contracts._blob_resuming import BlobResuming
from juststorage.testing.contracts._blob_staging import BlobStaging
from juststorage.testing.contracts._blob_surviving import BlobSurviving
from juststorage.testing.contracts._blob_writing import BlobWriting

__all__ = ["BlobStoreContract"]


class BlobStoreContract(
    BlobWriting, BlobStaging, BlobReading, BlobRemoving, BlobResuming, BlobSurviving
):
    """The contract of `BlobStore`. Capabilities that are not declared must not be there."""

    backend: ClassVar[BlobStoreBackend[Any]]

    machine_examples: ClassVar[int] = 30
    """Examples of the state machine; each takes some hundred calls."""

    def test_state_machine(self, options: msgspec.Struct) -> None:
        """In any order of calls the store holds what a dictionary would."""

        def machine(portal: BlockingPortal, store: BlobStore) -> BlobMachine:
            return BlobMachine(portal, store, self.can)

        run_machine(machine, self.opened(options), examples=self.machine_examples, steps=30)
