"""`juststorage backup create`, which dies anywhere and is run again.

Once it ends well, the backup is whole: it verifies, and what comes of putting it back has every
object that was acknowledged before, with its bytes, and nothing for the auditor to find. Only what
was killed is looked at here; that a backup is of one instant is the matter of its own tests.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.torture.acts import LARGE, SMALL, Deed
from tests.torture.journal import Broken
from tests.torture.service import STORES, Store, audit, config_of, write_config

__all__ = ["BACKUPS"]


class Backup(Deed):
    """Metadata and the contents that no earlier backup has, to files with points."""

    is_command = True

    def prepare(self) -> None:
        self.at_stake = self.bytes(LARGE)
        for data in (self.at_stake, self.bytes(SMALL), b""):
            self.stored(data)
        self.folder = self.rig.store.folder / "backups" / self.bytes(6).hex()
        self.folder.mkdir(parents=True)
        self.config = self._config("from", self.rig.store, pointed=True)

    def act(self) -> bool:
        code = self._juststorage("backup", "create", "--jobs", "1", config=self.config)
        if code not in {0, -9}:
            raise Broken(f"backup create ended with code {code}: {self.rig.logged()}")
        if code == 0:
            self._put_back()
        return code == 0

    def recover(self) -> None:
        """The hold of the dead process runs out."""
        past = "1" if self.rig.store.kind == STORES[0] else "clock_timestamp() - interval '1 hour'"
        self.rig.store.sql(f"UPDATE holds SET expires_at = {past}")

    def _config(self, name: str, store: Store, *, pointed: bool) -> Path:
        backend = "pointed_localfs" if pointed else "localfs"
        places = {
            place: {
                "backend": backend,
                backend: {"root": str(self.folder / place), "create_root": True},
            }
            for place in ("contents", "manifests")
        }
        path = self.folder / f"{name}.toml"
        return write_config(path, config_of(store, pointed=pointed, backup=places))

    def _juststorage(self, *words: str, config: Path) -> int:
        words = (*words, "--config", str(config))
        self.rig.child = self.rig.nursery.start(words, self.rig.service.log)
        return self.rig.child.wait()

    def _put_back(self) -> None:
        self.rig.points.disarm()
        new = Store(STORES[0], self.folder / "new")
        (new.folder / "data").mkdir(parents=True)
        config = self._config("to", new, pointed=False)
        for word in ("verify", "restore"):
            if self._juststorage("backup", word, config=config):
                raise Broken(f"backup {word} fails: {self.rig.logged()}")
        found = audit(new)
        if found:
            raise Broken(f"what a backup becomes has: {found}")
        for entry in self.journal.living:
            name = hashlib.sha256(entry.data).hexdigest()
            paths = [new.folder / each / name[:2] / name[2:4] / name for each in ("hot", "cold")]
            if not any(path.exists() and path.read_bytes() == entry.data for path in paths):
                raise Broken(f"{entry.id} is not in a backup that was made after it")
        shutil.rmtree(new.folder)


BACKUPS: tuple[type[Deed], ...] = (Backup,)
