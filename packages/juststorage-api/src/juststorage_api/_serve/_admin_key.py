"""The admin key of the embedded default: a file that only its owner can read.

The file comes first and the registration after it, from the file, at every start: whatever is
interrupted in between, there is never a registered key that nobody knows, and a metadata store that
was wiped gets the same key again.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

from juststorage.domain import ApiKeySecret
from juststorage.errors import Misconfigured
from juststorage.runtime import make_data_dir

__all__ = ["ADMIN_KEY_FILE", "ensure_admin_key"]

ADMIN_KEY_FILE = "admin.key"


def ensure_admin_key(data_dir: Path) -> Path:
    """Make `<data_dir>/admin.key` unless it is there, and the directory, all of it durably.

    Written elsewhere, synced, and then linked to its name, which fails when the name is taken: of
    two processes that start at once one wins, and nobody ever reads half a key.

    Raises:
        Misconfigured: The directory or the file cannot be written or read.
    """
    path = data_dir / ADMIN_KEY_FILE
    make_data_dir(data_dir)
    try:
        if not os.path.lexists(path):
            _create(path)
    except OSError as error:
        raise Misconfigured(
            f"data_dir: cannot write to {str(data_dir)!r}: {error.strerror}"
        ) from error
    return path


def _create(path: Path) -> None:
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(f"{ApiKeySecret.new().text}\n")
            file.flush()
            os.fsync(descriptor)
        # Who loses the race syncs the winner's name as well: it goes on with that key at once.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            draft.unlink()
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
