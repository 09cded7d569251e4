"""Tidying: rows that are kept for a while and then put together or dropped."""

from __future__ import annotations

from typing import Final

from juststorage.ports import MetadataStore
from juststorage.usecases._collection import CollectionReport, Deadline

__all__ = ["TidyRows"]

_BATCH: Final = 10_000
"""Small rows in one transaction; nobody waits for their locks."""


class TidyRows:
    """Folds what was counted one by one, forgets answers that nobody will ask for again."""

    def __init__(self, metadata: MetadataStore) -> None:
        self._usage = metadata.usage
        self._keys = metadata.idempotency

    async def run(self, report: CollectionReport, deadline: Deadline) -> None:
        """Until less than a batch is left: uploads go on adding."""
        for step in (self._usage.fold, self._keys.purge):
            while await step(limit=_BATCH) >= _BATCH:
                if deadline.is_over:
                    report.more = True
                    return
