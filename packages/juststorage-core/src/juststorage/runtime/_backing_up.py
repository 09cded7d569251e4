"""Backups of an open service: where they lie, and the use cases over that."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from juststorage import __version__
from juststorage.config import Config
from juststorage.domain import StorageClass
from juststorage.errors import Misconfigured, NotFound
from juststorage.plugins import BlobStoreBackend
from juststorage.plugins._host import PluginHost
from juststorage.ports import BlobStore, Clock, Hasher
from juststorage.runtime._open import make_host
from juststorage.runtime._opening import opening
from juststorage.runtime._plan import Choice, choose
from juststorage.runtime._runtime import Runtime
from juststorage.runtime._scanned_places import ScannedPlaces
from juststorage.usecases import (
    BackupTarget,
    CreateBackup,
    FixedPlaces,
    RestoreBackup,
    VerifyBackup,
    Watcher,
)

__all__ = ["BackupPlace", "make_backup", "make_restore", "make_verification", "open_backup_place"]

_CONTENTS: Final = "backup.contents"
_MANIFESTS: Final = "backup.manifests"
_CLASSES: Final = {_CONTENTS: StorageClass.HOT, _MANIFESTS: StorageClass.COLD}
"""A store serves a class. Two classes, so that stores that keep those of one bucket apart keep
these two apart as well."""

_IN_DIRECTORIES: Final = "localfs"


@dataclass(frozen=True, slots=True)
class BackupPlace:
    """Where backups lie, open, and what is needed to read them."""

    target: BackupTarget
    hashers: Mapping[str, Hasher]
    clock: Clock


@asynccontextmanager
async def open_backup_place(
    config: Config, directory: Path | None, *, create: bool = False
) -> AsyncIterator[BackupPlace]:
    """Open a directory for backups, or the stores that `[backup]` names.

    Args:
        config: Of the service; its own stores are not opened.
        directory: None means the configured stores.
        create: Begin to keep backups where there are none yet. The directory itself must be there:
            one that is missing is usually a volume that was not mounted.

    Raises:
        Misconfigured: There is no such directory, no store is configured, or backups would begin to
            lie in the service's own directory.
        NotFound: There are no backups in the directory.
    """
    host = make_host(config)
    host.require_sound()
    choices = _choices(config, host, directory, create=create)
    async with opening(config, host, create=create) as opened:
        stores: dict[str, BlobStore] = {
            place: await opened.open(choice, storage_class=_CLASSES[place])
            for place, choice in choices.items()
        }
        hashers = await opened.hashers(config, host)
        contents = stores[_CONTENTS]
        backend = cast("BlobStoreBackend[Any]", choices[_CONTENTS].offer.item)
        if backend.capabilities.fixed_names:
            target = BackupTarget(contents, stores[_MANIFESTS], FixedPlaces(contents))
            yield BackupPlace(target, hashers, opened.clock)
            return
        places = ScannedPlaces(contents)
        try:
            target = BackupTarget(contents, stores[_MANIFESTS], places)
            yield BackupPlace(target, hashers, opened.clock)
        finally:
            places.close()


def _choices(
    config: Config, host: PluginHost, directory: Path | None, *, create: bool
) -> dict[str, Choice]:
    if directory is not None:
        if create and directory.is_dir():
            require_apart(directory.resolve(), config.data_dir.resolve())
        return _in_directory(host, directory, create=create)
    sections = {_CONTENTS: config.backup.contents, _MANIFESTS: config.backup.manifests}
    missing = [place for place, section in sections.items() if not section.chosen]
    if missing:
        raise Misconfigured(
            f"{missing[0]}.backend is not set: name a directory, or configure the blob stores that"
            " backups are kept in"
        )
    return {
        place: choose(host, place, section, section.chosen[0])
        for place, section in sections.items()
    }


def _device_of(path: Path) -> int:
    return path.stat().st_dev


def require_apart(
    directory: Path, data_dir: Path, *, device_of: Callable[[Path], int] = _device_of
) -> None:
    """Refuse backups in the directory that they are of: whatever takes the one takes both.

    Args:
        directory: Of the backups, absolute and without links.
        data_dir: Of the service, likewise.
        device_of: Tells filesystems apart: one that is mounted below the service's is a place.

    Raises:
        Misconfigured: Backups would lie in the service's directory, or it in theirs.
    """
    parts = [directory / place.partition(".")[2] for place in _CLASSES]
    is_within = data_dir in directory.parents and device_of(directory) == device_of(data_dir)
    if directory == data_dir or is_within or any(data_dir.is_relative_to(part) for part in parts):
        raise Misconfigured(
            f"backups in {directory} would lie in the service's own directory, {data_dir}, or it in"
            " theirs: name a directory of their own, best on another volume"
        )


def _in_directory(host: PluginHost, directory: Path, *, create: bool) -> dict[str, Choice]:
    directory = directory.absolute()
    if not directory.is_dir():
        raise Misconfigured(
            f"there is no directory {directory}; mount its volume, or make the directory"
        )
    if not create and not (directory / "manifests").is_dir():
        raise NotFound(f"there is no backup in {directory}")
    offer = host.select("blob_store", _IN_DIRECTORIES, setting="backups in a directory")
    return {
        place: Choice(
            place,
            offer,
            host.options(
                offer,
                {"root": str(directory / place.partition(".")[2]), "create_root": create},
                place=place,
            ),
        )
        for place in _CLASSES
    }


def make_backup(
    runtime: Runtime, place: BackupPlace, watcher: Watcher, *, jobs: int
) -> CreateBackup:
    """What backs the service up."""
    return CreateBackup(
        runtime.metadata,
        runtime.blobs,
        runtime.hashers,
        place.target,
        clock=runtime.clock,
        watcher=watcher,
        jobs=jobs,
        made_by=__version__,
    )


def make_verification(
    place: BackupPlace, watcher: Watcher, *, jobs: int, quick: bool, discard: bool
) -> VerifyBackup:
    """What verifies a backup; no service is needed."""
    return VerifyBackup(
        place.hashers,
        place.target,
        clock=place.clock,
        watcher=watcher,
        jobs=jobs,
        quick=quick,
        discard=discard,
    )


def make_restore(
    runtime: Runtime, place: BackupPlace, watcher: Watcher, *, jobs: int, accept_missing: bool
) -> RestoreBackup:
    """What puts a backup back into the service."""
    return RestoreBackup(
        runtime.metadata,
        runtime.blobs,
        runtime.hashers,
        place.target,
        clock=runtime.clock,
        watcher=watcher,
        jobs=jobs,
        accept_missing=accept_missing,
    )
