"""What kind of filesystem a directory is on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["filesystem_type", "is_network_filesystem", "syncs_as_one"]

_NETWORK: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph-fuse",
        "fuse.glusterfs",
        "fuse.juicefs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)
_SYNCS_AS_ONE: Final = frozenset({"btrfs", "ext4", "xfs"})
_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def filesystem_type(path: Path, mounts: str) -> str | None:
    """The type of the filesystem that holds `path`, an absolute path without links.

    Args:
        path: Where to look.
        mounts: The text of `/proc/self/mountinfo` (proc_pid_mountinfo(5)).

    Returns:
        None where the text does not tell.
    """
    best: tuple[int, str] | None = None
    for line in mounts.splitlines():
        before, _, behind = line.partition(" - ")
        fields = before.split(" ")
        if len(fields) < 5 or not behind:
            continue
        point = Path(_ESCAPE.sub(lambda match: chr(int(match[1], 8)), fields[4]))
        # Of several mounts at one point, the last one listed is the one that is seen.
        if path.is_relative_to(point) and (best is None or len(point.parts) >= best[0]):
            best = len(point.parts), behind.split(" ")[0]
    return None if best is None else best[1]


def is_network_filesystem(kind: str) -> bool:
    """Whether durability and renames are another machine's business there."""
    return kind in _NETWORK


def syncs_as_one(kind: str) -> bool:
    """Whether one `syncfs` there is known to do what an `fsync` of every file would.

    In FUSE, for one, it does not reach the program behind the filesystem.
    """
    return kind in _SYNCS_AS_ONE
