"""What kind of filesystem a path is on."""

from __future__ import annotations

from pathlib import Path

import pytest

from juststorage_localfs._filesystems import (
    filesystem_type,
    is_network_filesystem,
    syncs_as_one,
)

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 22 0:40 / /data rw - xfs /dev/vdb rw
31 30 0:41 / /data/cold rw,relatime shared:5 master:1 - nfs4 server:/export rw
32 22 0:42 / /with\\040space rw - cifs //server/share rw
33 22 0:43 / /over rw - ext4 /dev/vdc rw
34 22 0:44 / /over rw - tmpfs tmpfs rw

nonsense
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srv/data", "ext4"),
        ("/data/hot", "xfs"),
        ("/data/colder", "xfs"),
        ("/data/cold", "nfs4"),
        ("/data/cold/a/b", "nfs4"),
        ("/with space/x", "cifs"),
        ("/over", "tmpfs"),
    ],
)
def test_the_nearest_mount_above_decides(path: str, kind: str) -> None:
    """The deepest mount point that holds the path, the last of several at one point."""
    assert filesystem_type(Path(path), MOUNTS) == kind


def test_where_nothing_is_known() -> None:
    """A system without the list has filesystems of no known type."""
    assert filesystem_type(Path("/data"), "") is None


def test_kinds() -> None:
    """Networks are refused; one sync for all is for those where it is known to work."""
    assert is_network_filesystem("nfs4") and is_network_filesystem("cifs")
    assert not is_network_filesystem("ext4")
    assert syncs_as_one("ext4") and syncs_as_one("xfs")
    assert not syncs_as_one("fuse.anything") and not syncs_as_one("nfs4")
