"""Unpacking an archive, on every Python that this project promises to run on."""

from __future__ import annotations

import tarfile
from pathlib import Path

__all__ = ["unpack"]


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a tar archive that was made here; the folder.

    Args:
        archive: A tar file, compressed or not.
        folder: Where to; made where it is missing.
    """
    with tarfile.open(archive) as packed:
        # Python before 3.11.4 has no filters, and no argument for one: there the attribute is
        # one that nobody reads. From 3.12 on it is an error here to choose none.
        if hasattr(tarfile, "data_filter"):
            packed.extraction_filter = tarfile.data_filter
        packed.extractall(folder)
    return folder
