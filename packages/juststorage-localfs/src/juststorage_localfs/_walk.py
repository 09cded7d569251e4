"""Walks over what is on the volume. Everything here blocks.

`placed` goes shard by shard, so that it never holds more than the names of one directory. Foreign
files are passed over: a store must not fall over what an operator left there.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from heapq import nsmallest
from itertools import islice

from juststorage.domain import Locator
from juststorage.errors import Invalid
from juststorage.ports import PlacedBlob, StagedEntry
from juststorage_localfs._errors import translate, translated
from juststorage_localfs._layout import STAGING, hash_of, is_locator, may_hold_blobs, parse_staged
from juststorage_localfs._volume import Volume

__all__ = ["discard", "placed", "sizes", "staged"]


def placed(volume: Volume, *, after: Locator | None, limit: int) -> list[PlacedBlob]:
    """Up to `limit` blobs behind `after`, in the order of their locators as text."""
    with translated():
        return list(islice(_blobs(volume, "", after or ""), limit))


def _blobs(volume: Volume, above: str, after: str) -> Iterator[PlacedBlob]:
    """Those below the directory `above` (empty, or ending in a slash)."""
    for path in _sorted_entries(volume, above):
        if path.endswith("/"):
            # A directory is over when all of its names come before `after`.
            if path > after or after.startswith(path):
                yield from _blobs(volume, path, after)
        elif path > after:
            content_hash = hash_of(path)
            if content_hash is None:
                continue
            try:
                facts = volume.ops.stat(path, dir_fd=volume.root_fd)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(facts.st_mode):
                yield PlacedBlob(path, facts.st_size, content_hash)


def _sorted_entries(volume: Volume, above: str) -> list[str]:
    # Directories sort with their slash: as text, `blake3/...` comes after `b0/...`.
    try:
        with closing(volume.ops.entries(above or ".", dir_fd=volume.root_fd)) as entries:
            return sorted(
                f"{above}{name}/" if is_directory else f"{above}{name}"
                for name, is_directory in entries
                if not is_directory or may_hold_blobs(f"{above}{name}")
            )
    except FileNotFoundError:
        return []


def sizes(volume: Volume, locators: Sequence[Locator]) -> dict[Locator, int | None]:
    """The size of each, in one go."""
    return {each: volume.size(each) if is_locator(each) else None for each in locators}


def staged(
    volume: Volume, *, older_than_s: float, limit: int, after: str | None
) -> list[StagedEntry]:
    """The first `limit` staging files behind `after` whose last write is that long ago."""
    until = time.time() - older_than_s
    with (
        translated(),
        closing(volume.ops.entries(STAGING, dir_fd=volume.root_fd)) as entries,
    ):
        old = (
            StagedEntry(upload_id, name)
            for name, is_directory in entries
            if not is_directory and (after is None or name > after)
            if (upload_id := parse_staged(name)) is not None and _is_older(volume, name, until)
        )
        return nsmallest(limit, old, key=lambda entry: entry.entry)


def _is_older(volume: Volume, name: str, until: float) -> bool:
    try:
        return volume.ops.stat(f"{STAGING}/{name}", dir_fd=volume.root_fd).st_mtime <= until
    except FileNotFoundError:
        return False


def discard(volume: Volume, entries: Sequence[StagedEntry]) -> None:
    """Unlink staging files; the first failure is raised when all have been tried."""
    failure: OSError | None = None
    for entry in entries:
        if parse_staged(entry.entry) is None:
            raise Invalid("this is no staged entry of this store")
        try:
            volume.ops.unlink(f"{STAGING}/{entry.entry}", dir_fd=volume.root_fd)
        except FileNotFoundError:
            continue
        except OSError as error:
            failure = failure or error
    if failure is not None:
        raise translate(failure) from failure
