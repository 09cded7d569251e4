"""Opening a store: everything that can be refused is refused here, before the first upload."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio.to_thread

from juststorage.errors import Misconfigured, StorageFull, Unavailable
from juststorage.plugins import Gatherer, OpenContext
from juststorage_localfs._claim import claim_root
from juststorage_localfs._errors import translated
from juststorage_localfs._filesystems import (
    filesystem_type,
    is_network_filesystem,
    syncs_as_one,
)
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._jobs import Jobs
from juststorage_localfs._layout import STAGING, TRASH
from juststorage_localfs._puts import Puts
from juststorage_localfs._store import LocalFSBlobStore
from juststorage_localfs._volume import Volume
from juststorage_localfs._writer import Blocks
from juststorage_localfs.plugin import LocalFSOptions

__all__ = ["open_store"]

PUT_BATCH_MAX = 64
"""Small bodies in one batch: more gain little, and hold each other up."""

PUT_BATCHES_MAX = 2
"""One batch writes while the other waits for the disk."""


@asynccontextmanager
async def open_store(
    options: LocalFSOptions, context: OpenContext, *, ops: FsOps | None = None
) -> AsyncIterator[LocalFSBlobStore]:
    """Check the root, and serve it until the block is left.

    Raises:
        Misconfigured: The root cannot hold a store, in one sentence for the operator.
    """
    ops = ops or FsOps()
    volume = await anyio.to_thread.run_sync(_open_volume, options, context, ops)
    try:
        jobs, reads = Jobs(options.threads), Jobs(options.threads)
        try:
            async with Gatherer(
                Puts(volume, jobs, context.clock.monotonic),
                batch_max=PUT_BATCH_MAX,
                calls_max=min(PUT_BATCHES_MAX, options.threads),
                tracer=context.tracer,
                name="put together",
            ) as puts:
                context.gauge("waiting", lambda: puts.depth)
                yield LocalFSBlobStore(volume, jobs, reads, puts, context.clock)
        finally:
            await jobs.aclose()
            await reads.aclose()
    finally:
        volume.close()


def _open_volume(options: LocalFSOptions, context: OpenContext, ops: FsOps) -> Volume:
    root = _root(options, context, ops)
    where = f"{context.instance}: root {root}"
    kind = _filesystem(options, root, where, ops)
    try:
        root_fd = ops.open(str(root), os.O_RDONLY | os.O_DIRECTORY)
    except NotADirectoryError:
        raise Misconfigured(f"{where} is not a directory") from None
    except OSError as error:
        raise Misconfigured(f"{where} cannot be opened: {error.strerror}") from error
    try:
        volume = Volume(
            str(root),
            root_fd,
            ops=ops,
            reserve_bytes=options.reserve_bytes,
            can_sync_whole=ops.can_sync_volume and kind is not None and syncs_as_one(kind),
            blocks=Blocks() if options.direct_io and ops.can_write_direct else None,
            may_make_ballast=context.create and not context.inspect,
        )
        _prepare(volume, where, context)
    except BaseException:
        ops.close(root_fd)
        raise
    return volume


def _root(options: LocalFSOptions, context: OpenContext, ops: FsOps) -> Path:
    """The directory, made where it may be, without links."""
    if options.root is not None:
        root = Path(options.root)
        if not root.is_absolute():
            root = Path.cwd() / root
    else:
        assert context.storage_class is not None, "a blob store serves a storage class"
        root = context.data_dir.absolute() / context.storage_class.value
    where = f"{context.instance}: root {root}"
    try:
        if options.root is None or options.create_root:
            _make(root, ops)
        elif not root.exists():
            raise Misconfigured(
                f"{where} does not exist; mount its volume, or set create_root to have it made"
            )
        return root.resolve()
    except OSError as error:
        raise Misconfigured(f"{where} cannot be used: {error.strerror}") from error


def _make(root: Path, ops: FsOps) -> None:
    """Make the directory and those above it, durably."""
    missing = [path for path in (root, *root.parents) if not path.exists()]
    for path in reversed(missing):
        try:
            ops.mkdir(str(path))
        except FileExistsError:
            continue  # another process starts at this very moment
        fd = ops.open(str(path.parent), os.O_RDONLY | os.O_DIRECTORY)
        try:
            ops.fsync(fd)
        finally:
            ops.close(fd)


def _filesystem(options: LocalFSOptions, root: Path, where: str, ops: FsOps) -> str | None:
    """The type of the filesystem, where it is known and welcome."""
    kind = filesystem_type(root, ops.mounts())
    if kind is None or options.allow_network_filesystem or not is_network_filesystem(kind):
        return kind
    raise Misconfigured(
        f"{where} is on a network filesystem ({kind}); use a local one, "
        "or set allow_network_filesystem and accept what its server promises"
    )


def _prepare(volume: Volume, where: str, context: OpenContext) -> None:
    """Make what the store needs inside its root, and prove that it can be written."""
    assert context.storage_class is not None, "a blob store serves a storage class"
    ops, root_fd = volume.ops, volume.root_fd
    try:
        device = ops.fstat(root_fd).st_dev
        for folder in (STAGING, TRASH):
            with suppress(FileExistsError):
                ops.mkdir(folder, dir_fd=root_fd)
            if ops.stat(folder, dir_fd=root_fd, follow=True).st_dev != device:
                raise Misconfigured(
                    f"{where} has its folder {folder} on another filesystem; "
                    "they must be one, because a rename across two is a copy"
                )
        try:
            with translated():
                claim_root(volume, context.storage_class, where)
                volume.shards.learn_parents()
            volume.probe()
            volume.space()  # which makes the ballast, where there is room
        except StorageFull:
            # What is there can be read and removed all the same, and removal is what helps.
            context.logger.warning("the volume is full; uploads are refused until it is not")
    except (OSError, Unavailable) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise Misconfigured(f"{where} is not writable: {why}") from error
