"""Small bodies, many at a time: one thread job writes, syncs and names them all.

The promise is that of a single upload: nobody hears of success before their own bytes and name are
durable, and what fails for one item fails for that one only. docs/adr/0010 has the figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

import msgspec

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import JustStorageError
from juststorage_localfs._errors import translate
from juststorage_localfs._volume import Volume

__all__ = ["GROUP_MIN", "Put", "put_all"]

GROUP_MIN = 4
"""From how many items on one sync of the volume is cheaper than one of every file."""


class Put(msgspec.Struct, frozen=True):
    """A small body that wants to be durable."""

    upload_id: ObjectId
    content_hash: ContentHash
    data: bytes


class _Item:
    """One body on its way; `error` ends it."""

    __slots__ = ("directory", "error", "fd", "locator", "name", "put")

    def __init__(self, put: Put) -> None:
        self.put = put
        self.name = ""
        self.fd = -1
        self.locator: Locator = ""
        self.directory = ""
        self.error: JustStorageError | None = None


def put_all(volume: Volume, puts: Sequence[Put]) -> list[Locator | BaseException]:
    """Put them all; one locator or one error each. Blocks, raises nothing."""
    items = [_Item(put) for put in puts]
    alive = items
    together = len(items) >= GROUP_MIN and volume.ops.can_sync_volume
    try:
        for item in items:
            _write(volume, item)
        alive = [item for item in items if item.error is None]
        if together:
            _sync_volume(volume, alive)
        else:
            for item in alive:
                _sync(volume, item)
    finally:
        for item in items:
            _close(volume, item)
    alive = [item for item in alive if item.error is None]
    for item in alive:
        _name(volume, item)
    alive = [item for item in alive if item.error is None]
    if together:
        _sync_volume(volume, alive)
        volume.shards.mark_durable(i.directory for i in alive if i.error is None)
    else:
        _sync_directories(volume, alive)
    for item in items:
        if item.error is not None and item.name:
            volume.drop(item.name)
    return [item.error or item.locator for item in items]


def _write(volume: Volume, item: _Item) -> None:
    try:
        volume.need_room(len(item.put.data))
        item.name, item.fd = volume.create(item.put.upload_id)
        volume.write_all(item.fd, item.put.data)
    except OSError as error:
        item.error = _told(error)
    except JustStorageError as error:
        item.error = error


def _sync(volume: Volume, item: _Item) -> None:
    try:
        volume.sync(item.fd)
    except OSError as error:
        item.error = _told(error)


def _close(volume: Volume, item: _Item) -> None:
    if item.fd >= 0:
        # After a sync there is nothing left that a close could lose.
        with suppress(OSError):
            volume.ops.close(item.fd)
        item.fd = -1


def _name(volume: Volume, item: _Item) -> None:
    try:
        item.locator, item.directory = volume.give_name(item.name, item.put.content_hash)
        item.name = ""
    except OSError as error:
        item.error = _told(error)


def _sync_volume(volume: Volume, items: Sequence[_Item]) -> None:
    if not items:
        return
    try:
        with volume.syncing():
            volume.ops.sync_volume(volume.root_fd)
    except OSError as error:
        # Whose bytes were lost is not known, hence nobody's are safe.
        for item in items:
            item.error = _told(error)


def _sync_directories(volume: Volume, items: Sequence[_Item]) -> None:
    for directory in dict.fromkeys(item.directory for item in items):
        try:
            volume.sync_directory(directory)
        except OSError as error:
            for item in items:
                if item.directory == directory:
                    item.error = _told(error)


def _told(error: OSError) -> JustStorageError:
    told = translate(error)
    told.__cause__ = error
    return told
