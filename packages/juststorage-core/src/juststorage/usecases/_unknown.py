"""Bytes that no row names: few are what crashes leave, a mass is what a wrong database sees.

Beside an empty database, or another service's, every blob of a volume is unknown. To adopt them
would be to remove them once grace and retention have passed, and to sweep generations removes
them at once. So a collector takes what is unknown only where it is few, or a small share.

A page of a walk is a sample. It has `SAMPLE` entries unless the store has fewer behind it, and
`few` is `FEW_MAX` at most, a tenth of that: so where more than a tenth of a page is unknown,
nothing of it is taken, wherever the walk is and whoever began it. What the pages before it had is
summed up as well, so that the last page, however short, is judged with all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from juststorage.domain import BlobKey, Locator, StorageClass
from juststorage.ports import BlobStore, MetadataStore, PlacedBlob

__all__ = ["FEW_MAX", "SAMPLE", "Walk", "read_sample", "too_many", "unknown_in"]

SAMPLE: Final = 1000
"""Entries that are judged together: enough for a share to mean something."""

_SHARE: Final = 10
"""A small share is one in so many."""

FEW_MAX: Final = SAMPLE // _SHARE
"""The most that may be called few. Were it more, a volume would be lost page by page."""


def too_many(unknown: int, looked_at: int, few: int) -> bool:
    """Whether these are neither few nor a small share of what was looked at."""
    return unknown > few and unknown * _SHARE > looked_at


class Walk(msgspec.Struct):
    """How far a walk over one store has come, and what it has seen.

    A collector keeps it between its runs; the next process begins a new one, with a whole sample.

    Args:
        after: The last locator that was looked at; None at the beginning.
        looked_at: Entries since the beginning.
        unknown: Those of them that no row named.
    """

    after: Locator | None = None
    looked_at: int = 0
    unknown: int = 0

    def too_many(self, page: Sequence[PlacedBlob], unknown: int, few: int) -> bool:
        """Whether so many unknown ones of the next page are: alone, or with all before it."""
        so_far = too_many(self.unknown + unknown, self.looked_at + len(page), few)
        return so_far or too_many(unknown, len(page), few)

    def go_behind(self, page: Sequence[PlacedBlob], unknown: int) -> None:
        """Sum a page up."""
        self.after = page[-1].locator
        self.looked_at += len(page)
        self.unknown += unknown


async def read_sample(store: BlobStore, after: Locator | None) -> list[PlacedBlob]:
    """The next `SAMPLE` placed blobs; fewer only where the walk ends with them.

    A store may answer with fewer than it was asked for, and go on.
    """
    sample: list[PlacedBlob] = []
    while len(sample) < SAMPLE:
        page = await store.scan(after=after, limit=SAMPLE - len(sample))
        if not page:
            break
        sample += page
        after = page[-1].locator
    return sample


async def unknown_in(
    metadata: MetadataStore, storage_class: StorageClass, page: Sequence[PlacedBlob]
) -> list[PlacedBlob]:
    """Those of a page that no row names, and no upload that is under way."""
    keys = {
        placed.locator: BlobKey(placed.content_hash, storage_class)
        for placed in page
        if placed.content_hash is not None
    }
    generations = {
        placed.locator: placed.upload_id
        for placed in page
        if placed.content_hash is None and placed.upload_id is not None
    }
    known: set[Locator] = set()
    if keys:
        # A row comes before its file, so a file without one belongs to no upload under way.
        rows = await metadata.blobs.find(set(keys.values()))
        known |= {locator for locator, key in keys.items() if key in rows}
    if generations:
        # Alive first, then in use: an upload that commits between the two is alive in the first
        # answer; the other way round it would be in neither.
        alive = await metadata.objects.live_uploads(list(generations.values()))
        known |= {locator for locator, upload_id in generations.items() if upload_id in alive}
        known |= await metadata.blobs.locators_in_use(storage_class, generations)
    named = keys.keys() | generations.keys()
    return [placed for placed in page if placed.locator in named - known]
