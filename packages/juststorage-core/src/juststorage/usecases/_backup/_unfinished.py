"""A restore that has begun and not ended: how it is noted, and what whoever meets one is told."""

from __future__ import annotations

from typing import Final

import msgspec

from juststorage.ports import BackupRepository

__all__ = ["UnfinishedRestore", "restore_hold", "unfinished_restore"]

_PREFIX: Final = "restore "


class UnfinishedRestore(msgspec.Struct, frozen=True):
    """One, by the id of its backup. As a string: what is wrong then and what to do, a sentence."""

    backup_id: str

    @property
    def found(self) -> str:
        """What is wrong."""
        return (
            f"the restore of the backup {self.backup_id} has not ended, so objects or their bytes"
            " are missing"
        )

    @property
    def command(self) -> str:
        """What to run again, on the same configuration."""
        return f"juststorage backup restore --id {self.backup_id}"

    def __str__(self) -> str:
        return f"{self.found}: run `{self.command}` again"


def restore_hold(backup_id: str) -> str:
    """The name of the hold of a restore: it has no end, unlike that of a backup."""
    return f"{_PREFIX}{backup_id}"


async def unfinished_restore(backups: BackupRepository) -> UnfinishedRestore | None:
    """The restore that goes on here, or went on when it was interrupted.

    Raises:
        Unavailable: The metadata store does not answer.
    """
    for hold in await backups.holds():
        if hold.expires_at is None:
            return UnfinishedRestore(hold.name.removeprefix(_PREFIX))
    return None
