"""Walks over what is on the volume. Everything here blocks.

`placed` goes shard by shard, so that it never holds more than the names of one directory. Foreign
files are passed over: a store must not fall over what an operator left there.
"""

from __future__ import annotations

import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from itertools import islice

from juststorage.domain import Locator
from juststorage.errors import Invalid
from juststorage.ports import PlacedBlob, StagedEntry
from juststorage_localfs._errors import translate, translated
from juststorage_localfs._layout import STAGING, hash_of, may_hold_blobs, parse_staged
from juststorage_localfs._volume import Volume

__all__ = ["discard", "placed", "staged"]


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


def staged(volume: Volume, *, older_than_s: float, limit: int) -> list[StagedEntry]:
    """Up to `limit` staging files whose last write is at least that long ago."""
    found: list[StagedEntry] = []
    until = time.time() - older_than_s
    with (
        translated(),
        closing(volume.ops.entries(STAGING, dir_fd=volume.root_fd)) as entries,
    ):
        for name, is_directory in entries:
            if len(found) >= limit:
                break
            upload_id = parse_staged(name)
            if upload_id is None or is_directory:
                continue
            with suppress(FileNotFoundError):
                facts = volume.ops.stat(f"{STAGING}/{name}", dir_fd=volume.root_fd)
                if facts.st_mtime <= until:
                    found.append(StagedEntry(upload_id, name))
    return found


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
