"""Manifests: which backups there are, and what cannot be read among them.

A manifest that cannot be read may be that of any backup: its name does not tell, and its bytes are
not believed. So whoever asks for the newest one is not given the newest of the others.
"""

from __future__ import annotations

from typing import Final

import msgspec

from juststorage.domain import Locator
from juststorage.errors import BackupUnreadable, Invalid, NotFound
from juststorage.usecases._backup._format import Manifest

__all__ = ["Manifests", "UnreadableManifest"]

_NAME_IT: Final = "name the backup that you mean with --id"
_DISCARD: Final = "remove what is damaged with `juststorage backup verify --discard-damaged`"


class UnreadableManifest(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest that cannot be read.

    Args:
        locator: Where it is in the store of manifests.
        detail: Why, in one sentence.
        is_damaged: Its bytes are not those that were written. Otherwise it may be whole: of a later
            release, or in a store that does not answer for it.
    """

    locator: Locator
    detail: str
    is_damaged: bool

    def __str__(self) -> str:
        return f"{self.locator}: {self.detail}"


class Manifests(msgspec.Struct, frozen=True):
    """All that there are.

    Args:
        readable: The backups, the oldest first.
        unreadable: The others, in the order of their locators.
    """

    readable: list[Manifest]
    unreadable: list[UnreadableManifest]

    def choose(self, backup_id: str | None) -> Manifest:
        """A backup by its id, or by how that begins; the newest one where there is none.

        Raises:
            NotFound: There is no such backup.
            Invalid: Several have ids that begin like this.
            BackupUnreadable: No id was named, and what cannot be read may be the newest one.
        """
        if backup_id is None:
            return self._newest()
        matching = [each for each in self.readable if each.id.startswith(backup_id)]
        if not matching:
            hint = f"; {len(self.unreadable)} cannot be read" if self.unreadable else ""
            raise NotFound(f"there is no backup {backup_id} here{hint}")
        if len(matching) > 1:
            raise Invalid(f"{len(matching)} backups have ids that begin with {backup_id}")
        return matching[0]

    def _newest(self) -> Manifest:
        if not self.unreadable:
            if not self.readable:
                raise NotFound("there is no backup here")
            return self.readable[-1]
        first = self.unreadable[0]
        if not self.readable:
            raise BackupUnreadable(f"no backup can be read here; {first}")
        count = len(self.unreadable)
        found = (
            "a manifest here cannot be read, and may be that of the newest backup"
            if count == 1
            else f"{count} manifests here cannot be read, and one may be that of the newest backup"
        )
        is_damage = any(each.is_damaged for each in self.unreadable)
        to_do = f"{_NAME_IT}, or {_DISCARD}" if is_damage else _NAME_IT
        raise BackupUnreadable(f"{found}: {first}; {to_do}")
