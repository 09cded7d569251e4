"""Removal, in two steps: out of the way first, gone for good later. Everything here blocks.

Nothing here is synced except what `restore` brings back: a removal that a power cut undoes leaves a
blob without a row, which the sweeper adopts and the collector collects again.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from datetime import datetime, timedelta
from heapq import nsmallest

from juststorage.domain import ContentHash, Locator
from juststorage.errors import Invalid, JustStorageError
from juststorage.ports import TrashedBlob
from juststorage_localfs._errors import translate, translated
from juststorage_localfs._layout import (
    TRASH,
    bucket_end,
    bucket_of,
    bucket_of_entry,
    hash_of,
    is_bucket,
    locator_of,
    parse_trashed,
    trashed_name,
)
from juststorage_localfs._volume import Volume

__all__ = ["purge", "remove", "restore", "trashed"]

_MOVES_MAX = 5
"""Attempts to move a blob while others make and tidy away the bucket that it goes to."""


def remove(
    volume: Volume, locators: Sequence[Locator], now: datetime
) -> dict[Locator, JustStorageError]:
    """Move blobs to the trash. Absent is fine.

    Returns:
        The failures.
    """
    failed: dict[Locator, JustStorageError] = {}
    for locator in locators:
        content_hash = hash_of(locator)
        if content_hash is None:
            continue  # text that this store never gave out: nothing can be there
        try:
            _move(volume, locator, trashed_name(content_hash, now))
        except OSError as error:
            failed[locator] = translate(error)
            failed[locator].__cause__ = error
    return failed


def _move(volume: Volume, locator: Locator, entry: str) -> None:
    in_need = volume.ballast.in_need
    for _ in range(_MOVES_MAX):
        try:
            in_need(volume.ops.rename, locator, f"{TRASH}/{entry}", dir_fd=volume.root_fd)
        except FileNotFoundError:
            # Either the blob is absent, or the bucket: the first of its ten minutes, or tidied
            # away under our hands. That somebody else has just made it says nothing about the blob.
            with suppress(FileExistsError):
                bucket = bucket_of_entry(entry)
                in_need(volume.ops.mkdir, f"{TRASH}/{bucket}", dir_fd=volume.root_fd)
                continue
            if not _is_there(volume, locator):
                return
        else:
            return
    raise OSError(errno.EAGAIN, "the trash is being tidied")


def _is_there(volume: Volume, locator: Locator) -> bool:
    try:
        volume.ops.stat(locator, dir_fd=volume.root_fd)
    except FileNotFoundError:
        return False
    return True


def restore(volume: Volume, locator: Locator) -> bool:
    """Give the newest trashed blob its name back, durably, unless the name is taken.

    Returns:
        Whether there is a blob at `locator` now.
    """
    content_hash = hash_of(locator)
    if content_hash is None:
        return False
    if volume.size(locator) is not None:
        return True
    with translated():
        entry = _newest(volume, content_hash)
        if entry is None:
            return volume.size(locator) is not None
        return _bring_back(volume, f"{TRASH}/{entry}", locator)


def _bring_back(volume: Volume, entry: str, locator: Locator) -> bool:
    directory = locator[: locator.rindex("/")]
    in_need = volume.ballast.in_need
    if not volume.shards.is_durable(directory):
        in_need(volume.shards.make, directory)
    try:
        # A rename would replace what an upload may have placed since; a link does not.
        in_need(volume.ops.link, entry, locator, dir_fd=volume.root_fd)
    except FileExistsError:
        return True
    except FileNotFoundError:
        # Restored or purged by someone else this very moment.
        return volume.size(locator) is not None
    volume.sync_directory(directory)
    with suppress(FileNotFoundError):
        volume.ops.unlink(entry, dir_fd=volume.root_fd)
    return True


def _newest(volume: Volume, content_hash: ContentHash) -> str | None:
    """What is restored has mostly been removed just now, so the newest bucket comes first."""
    for bucket in sorted(_buckets(volume), reverse=True):
        found = max(
            (
                name
                for name, _, removed_hash in _bucket_entries(volume, bucket)
                if removed_hash == content_hash
            ),
            default=None,
        )
        if found is not None:
            return f"{bucket}/{found}"
    return None


def trashed(
    volume: Volume, *, older_than_s: float, limit: int, now: datetime, after: str | None
) -> list[TrashedBlob]:
    """Up to `limit` blobs removed at least that long ago, the oldest first, behind `after`.

    Buckets that were over before that, and are empty, go on the way: a restore, or a purge in the
    bucket's own time, leaves them behind.
    """
    try:
        until = now - timedelta(seconds=older_than_s)
    except OverflowError:
        return []
    found: list[TrashedBlob] = []
    with translated():
        for bucket in sorted(_buckets(volume)):
            if bucket > bucket_of(until) or len(found) >= limit:
                break
            if after is not None and bucket < after[: len(bucket)]:
                continue
            old = (
                TrashedBlob(locator_of(content_hash), content_hash, f"{bucket}/{name}")
                for name, removed_at, content_hash in _bucket_entries(volume, bucket)
                if removed_at <= until and (after is None or f"{bucket}/{name}" > after)
            )
            # Names begin with the time. Never more than a page of a bucket is in memory.
            page = nsmallest(limit - len(found), old, key=lambda blob: blob.entry)
            found += page
            if not page and bucket_end(bucket) <= until:
                with suppress(OSError):  # not empty
                    volume.ops.rmdir(f"{TRASH}/{bucket}", dir_fd=volume.root_fd)
    return found


def purge(volume: Volume, blobs: Sequence[TrashedBlob], now: datetime) -> None:
    """Unlink trash for good; the first failure is raised when all have been tried."""
    failure: OSError | None = None
    buckets: set[str] = set()
    for blob in blobs:
        bucket = bucket_of_entry(blob.entry)
        if bucket is None:
            raise Invalid("this is no entry of this store's trash")
        buckets.add(bucket)
        try:
            # Where nothing is overwritten, as on btrfs, even this needs room.
            volume.ballast.in_need(
                volume.ops.unlink, f"{TRASH}/{blob.entry}", dir_fd=volume.root_fd
            )
        except FileNotFoundError:
            continue
        except OSError as error:
            failure = failure or error
    for bucket in buckets:
        if bucket_end(bucket) <= now:
            with suppress(OSError):  # not empty, mostly
                volume.ops.rmdir(f"{TRASH}/{bucket}", dir_fd=volume.root_fd)
    if failure is not None:
        raise translate(failure) from failure


def _buckets(volume: Volume) -> list[str]:
    with closing(volume.ops.entries(TRASH, dir_fd=volume.root_fd)) as entries:
        return [name for name, is_directory in entries if is_directory and is_bucket(name)]


def _bucket_entries(volume: Volume, bucket: str) -> Iterator[tuple[str, datetime, ContentHash]]:
    try:
        with closing(volume.ops.entries(f"{TRASH}/{bucket}", dir_fd=volume.root_fd)) as entries:
            for name, is_directory in entries:
                parsed = None if is_directory else parse_trashed(name)
                if parsed is not None:
                    yield name, *parsed
    except FileNotFoundError:
        return  # purged meanwhile
