"""Small bodies, many at a time: one thread job writes, syncs and names them all.

The promise is that of a single upload: nobody hears of success before their own bytes and name are
durable, and what fails for one item fails for that one only. docs/adr/0010 has the figures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

import anyio

from juststorage.domain import ContentHash, Locator, ObjectId
from juststorage.errors import JustStorageError
from juststorage_localfs._errors import translate
from juststorage_localfs._jobs import Jobs
from juststorage_localfs._pace import Pace
from juststorage_localfs._volume import Volume

__all__ = ["Put", "Puts", "put_all"]

APART_MAX = 4
"""Items to one thread where each is synced by itself: the disk is kept busy by many threads then.
"""


class Put:
    """A small body that wants to be durable."""

    __slots__ = ("_over", "_under_way", "content_hash", "data", "upload_id")

    def __init__(self, upload_id: ObjectId, content_hash: ContentHash, data: bytes) -> None:
        self.upload_id = upload_id
        self.content_hash = content_hash
        self.data = data
        self._under_way = False
        self._over: asyncio.Future[None] | None = None

    def begin(self) -> None:
        """A thread is about to work on it."""
        self._under_way = True

    def end(self) -> None:
        """No thread works on it any more."""
        self._under_way = False
        if self._over is not None and not self._over.done():
            self._over.set_result(None)

    async def settle(self) -> None:
        """Wait until no thread works on it; for whoever gave it up."""
        if self._under_way:
            self._over = asyncio.get_running_loop().create_future()
            with anyio.CancelScope(shield=True):
                await self._over


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


class Puts:
    """What a `Gatherer` calls with the small bodies that wait. Cancelled, it waits for threads.

    Args:
        volume: Where they go.
        jobs: The threads.
        monotonic: Seconds, to see how long a group takes.
    """

    def __init__(self, volume: Volume, jobs: Jobs, monotonic: Callable[[], float]) -> None:
        self._volume = volume
        self._jobs = jobs
        self._monotonic = monotonic
        self._pace = Pace(monotonic)

    async def __call__(self, puts: Sequence[Put]) -> list[Locator | BaseException]:
        """Put them all: in one job with one sync for all, or in several, each synced."""
        size = len(puts)
        # For a single one, two syncs of the volume would be no faster than those of its file and
        # directory, and wait for strangers.
        whole = size > 1 and self._volume.can_sync_whole and self._pace.whole(size)
        began_s = self._monotonic()
        for put in puts:
            put.begin()
        try:
            if whole or size <= APART_MAX:
                answers = await self._jobs.run(put_all, self._volume, puts, whole=whole)
            else:
                answers = await self._apart(puts)
        finally:
            for put in puts:
                put.end()
        self._pace.learn(size, whole=whole, took_s=self._monotonic() - began_s)
        return answers

    async def _apart(self, puts: Sequence[Put]) -> list[Locator | BaseException]:
        answers: dict[int, list[Locator | BaseException]] = {}

        async def part(start: int) -> None:
            some = puts[start : start + APART_MAX]
            answers[start] = await self._jobs.run(put_all, self._volume, some, whole=False)

        async with anyio.create_task_group() as tasks:
            for start in range(0, len(puts), APART_MAX):
                tasks.start_soon(part, start)
        return [answer for _, some in sorted(answers.items()) for answer in some]


def put_all(volume: Volume, puts: Sequence[Put], *, whole: bool) -> list[Locator | BaseException]:
    """Put them all; one locator or one error each. Blocks, raises nothing.

    Args:
        volume: Where they go.
        puts: The bodies.
        whole: Sync the volume, not each file.
    """
    items = [_Item(put) for put in puts]
    whole_fd = volume.open_whole() if whole else None
    try:
        _make_durable(volume, items, whole_fd)
    finally:
        if whole_fd is not None:
            with suppress(OSError):
                volume.ops.close(whole_fd)
    return [item.error or item.locator for item in items]


def _make_durable(volume: Volume, items: Sequence[_Item], whole_fd: int | None) -> None:
    """Bytes first, then names; `whole_fd` is what to sync the volume by, if it is to be."""
    try:
        for item in items:
            _write(volume, item)
        if whole_fd is not None:
            _sync_volume(volume, _alive(items), whole_fd)
        else:
            for item in _alive(items):
                _sync(volume, item)
    finally:
        for item in items:
            _close(volume, item)
    for item in _alive(items):
        _name(volume, item)
    if whole_fd is not None:
        _sync_volume(volume, _alive(items), whole_fd)
        volume.shards.mark_durable(item.directory for item in _alive(items))
    else:
        _sync_directories(volume, _alive(items))
    for item in items:
        if item.error is not None and item.name:
            volume.drop(item.name)


def _alive(items: Sequence[_Item]) -> list[_Item]:
    return [item for item in items if item.error is None]


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


def _sync_volume(volume: Volume, items: Sequence[_Item], whole_fd: int) -> None:
    if not items:
        return
    try:
        volume.sync_whole(whole_fd)
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
