"""The data directory: made durably, name and all, and told from one that is not there."""

from __future__ import annotations

import contextlib
import errno
import os
import shlex
from collections.abc import Callable
from pathlib import Path

from juststorage.config import Config
from juststorage.config._sections import DATA_DIR
from juststorage.errors import Misconfigured

__all__ = ["make_data_dir", "require_data_dir"]

_MODE = 0o750
"""Of the data directory. Those above it get what the umask leaves, as from `mkdir -p`."""


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises `OSError`."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_data_dir(data_dir: Path, *, sync: Callable[[Path], None] = sync_directory) -> None:
    """Make the data directory and those above it, unless they are there.

    When this returns, a power cut takes none of their names away: everything below a directory is
    lost with its name, however well it was synced itself. Whatever it made it removes when it
    fails.

    Only for the start without configuration. Elsewhere a missing directory is more likely a volume
    that was not mounted, and what is written into its place is lost when it is.

    Args:
        data_dir: Where.
        sync: Makes the names in a directory durable.

    Raises:
        Misconfigured: It cannot be made, or is something else.
    """
    path = data_dir.absolute()
    made: list[Path] = []
    try:
        for level in reversed([path, *path.parents]):
            if level.is_dir():
                continue
            try:
                level.mkdir(mode=_MODE if level == path else 0o777)
            except FileExistsError:
                if not level.is_dir():
                    raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR)) from None
            else:
                made.append(level)
            # Also after losing a race: the winner may not have come to it yet, and we go on.
            sync(level.parent)
        if not made:
            _sync_again(path.parent, sync)
    except OSError as error:
        for level in reversed(made):
            with contextlib.suppress(OSError):
                level.rmdir()
        raise Misconfigured(f"data_dir: cannot make {str(data_dir)!r}: {error.strerror}") from error


def _sync_again(parent: Path, sync: Callable[[Path], None]) -> None:
    """Whoever made it may have died before its sync. A parent of others' is theirs to sync."""
    with contextlib.suppress(PermissionError):
        sync(parent)


def missing_data_dir(config: Config) -> str | None:
    """What is to be said of a data directory that was named and is not there; else None.

    A backend that keeps something there refuses it by itself. Where none does, as with PostgreSQL
    and volumes elsewhere, it is most likely a slip, or a volume that was not mounted.
    """
    if config.embedded_default or config.data_dir == DATA_DIR or config.data_dir.is_dir():
        return None
    return f"data_dir: there is no directory {str(config.data_dir.absolute())!r}"


def require_data_dir(config: Config) -> None:
    """Refuse the embedded default's data directory where there is none, or nothing in it.

    For commands that look at a store or tend it: one that they made themselves would be empty, and
    well, and not the one that was meant.

    Raises:
        Misconfigured: With the command that makes one.
    """
    path = config.data_dir.absolute()
    if config.embedded_default and not (path.is_dir() and any(path.iterdir())):
        raise Misconfigured(
            f"there is no store in {path}; make one with:"
            f" juststorage serve --data-dir {shlex.quote(str(path))}"
        )
