"""One root, one storage class.

Two classes that share a root would share files, and the collector of one would remove what the
other counts on; a root within a root would look like blobs of an unknown hash there. So the first
opening leaves the name of the class in the root, and every later one reads it.
"""

from __future__ import annotations

import os
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex

from juststorage.domain import StorageClass
from juststorage.errors import Misconfigured
from juststorage_localfs._layout import CLASS, STAGING, may_hold_blobs
from juststorage_localfs._volume import Volume

__all__ = ["claim_root"]


def claim_root(volume: Volume, storage_class: StorageClass, where: str) -> None:
    """Take the root for this class, or find that it has been taken for it. Raises `OSError`.

    Raises:
        Misconfigured: It is another class's, lies within another root, or holds one.
    """
    for above in Path(volume.root).parents:
        if (above / CLASS).is_file():
            raise Misconfigured(f"{where} lies within the root of another store, {above}")
    with closing(volume.ops.entries(".", dir_fd=volume.root_fd)) as entries:
        folders = [name for name, is_directory in entries if is_directory and may_hold_blobs(name)]
    for name in folders:
        if (Path(volume.root) / name / CLASS).is_file():
            raise Misconfigured(f"{where} holds the root of another store, {name}")
    owner = _owner(volume)
    if owner is None:
        _write(volume, storage_class)
        owner = _owner(volume)
    if owner != storage_class:
        raise Misconfigured(
            f"{where} belongs to the storage class {owner}; each class needs a root of its own"
        )


def _owner(volume: Volume) -> str | None:
    try:
        fd = volume.ops.open(CLASS, os.O_RDONLY, dir_fd=volume.root_fd)
    except FileNotFoundError:
        return None
    try:
        return volume.ops.pread(fd, 100, 0).decode(errors="replace").strip()
    finally:
        volume.ops.close(fd)


def _write(volume: Volume, storage_class: StorageClass) -> None:
    """Whole or not at all, and never over what another process has just written."""
    name = f"{STAGING}/{CLASS}.{token_hex(4)}"
    fd = volume.ops.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, dir_fd=volume.root_fd)
    try:
        volume.write_all(fd, f"{storage_class}\n".encode())
        volume.sync(fd)
        with suppress(FileExistsError):
            volume.ops.link(name, CLASS, dir_fd=volume.root_fd)
    finally:
        volume.ops.close(fd)
        volume.drop(name)
