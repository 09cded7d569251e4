"""`juststorage backup create` and `restore`, which die anywhere and are run again.

Once a backup ends well, it is whole: it verifies, and what comes of putting it back has every
object that was acknowledged before, with its bytes, and nothing for the auditor to find. The same
is true of a restore that was killed and run again, whether or not a collector came between the two.
Only what was killed is looked at here; that a backup is of one instant is the matter of its own
tests.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from juststorage_postgres.testing import EMPTY
from tests.torture.acts import LARGE, SMALL, Deed
from tests.torture.auditor import audit, settle
from tests.torture.journal import Broken
from tests.torture.service import STORES, Store, config_of, write_config

__all__ = ["BACKUPS"]


class _Copying(Deed):
    """A command between a store and a place for backups, in a folder of its own."""

    is_command = True

    def prepare(self) -> None:
        self.at_stake = self.bytes(LARGE)
        self.data = [self.at_stake, self.bytes(SMALL), b""]
        for data in self.data:
            self.stored(data)
        self.folder = self.rig.store.folder / "backups" / self.bytes(6).hex()
        self.folder.mkdir(parents=True)
        self.new = Store(STORES[0], self.folder / "new")

    def config(self, name: str, store: Store, *, pointed: bool) -> Path:
        """The configuration of a deployment that has its backups here."""
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

    def juststorage(self, *words: str, config: Path) -> int:
        """Run a command to its end; its code."""
        words = (*words, "--config", str(config))
        self.rig.child = self.rig.nursery.start(words, self.rig.service.log)
        return self.rig.child.wait()

    def well_done(self, *words: str, config: Path) -> None:
        """Run a command that nothing disturbs."""
        if self.juststorage(*words, config=config):
            raise Broken(f"{' '.join(words)} fails: {self.rig.logged()}")

    def check_new(self) -> None:
        """What was put back is whole, before and after a collection; then it is removed."""
        # What a killed restore has staged is a collector's matter.
        found = [each for each in audit(self.new) if not each.startswith("I5")]
        if found:
            raise Broken(f"what a backup becomes has: {found}")
        self._check_bytes()
        settle(self.new)
        self._check_bytes()
        shutil.rmtree(self.new.folder)

    def _check_bytes(self) -> None:
        for entry in self.journal.living:
            if not any(self._has(path, entry.data) for path in self.paths(entry.data)):
                raise Broken(f"{entry.id} is not in a backup that was made after it")

    def paths(self, data: bytes) -> list[Path]:
        """Where these bytes may be in the new deployment."""
        name = hashlib.sha256(data).hexdigest()
        return [self.new.folder / each / name[:2] / name[2:4] / name for each in ("hot", "cold")]

    @staticmethod
    def _has(path: Path, data: bytes) -> bool:
        return path.exists() and path.read_bytes() == data


class Backup(_Copying):
    """Metadata and the contents that no earlier backup has, to files with points."""

    def prepare(self) -> None:
        super().prepare()
        self.source = self.config("from", self.rig.store, pointed=True)

    def act(self) -> bool:
        code = self.juststorage("backup", "create", "--jobs", "1", config=self.source)
        if code not in {0, -9}:
            raise Broken(f"backup create ended with code {code}: {self.rig.logged()}")
        if code == 0:
            self._put_back()
        return code == 0

    def recover(self) -> None:
        """The hold of the dead process runs out."""
        past = "1" if self.rig.store.kind == STORES[0] else "clock_timestamp() - interval '1 hour'"
        self.rig.store.sql(f"UPDATE holds SET expires_at = {past}")

    def _put_back(self) -> None:
        self.rig.points.disarm()
        (self.new.folder / "data").mkdir(parents=True)
        config = self.config("to", self.new, pointed=False)
        for word in ("verify", "restore"):
            self.well_done("backup", word, config=config)
        self.check_new()


class Restore(_Copying):
    """Into a deployment whose database was lost: one blob is placed, and one is half there."""

    _died = False

    def prepare(self) -> None:
        super().prepare()
        if self.rig.store.kind != STORES[0]:
            self.new = replace(self.rig.store, folder=self.new.folder, url=self.rig.store.spare_url)
        source = self.config("from", self.rig.store, pointed=False)
        self.well_done("backup", "create", config=source)
        self.target = self.config("to", self.new, pointed=True)
        self._begin_anew()

    def act(self) -> bool:
        code = self.juststorage("backup", "restore", "--jobs", "1", config=self.target)
        if code == 1 and self._died and "a restore has ended here" in self.rig.logged():
            code = 0  # it died after its last word to the database, and before that to us
        self._died = code == -9
        if code not in {0, -9}:
            raise Broken(f"backup restore ended with code {code}: {self.rig.logged()}")
        if code == 0:
            self.rig.points.disarm()
            self.check_new()
            self._begin_anew()
        return code == 0

    def recover(self) -> None:
        """A collector may come between: it takes nothing that the next run needs."""
        if self.chance.random() < 0.5:
            config = self.config("collecting", self.new, pointed=False)
            code = self.juststorage("gc", "run", "--grace-s", "0", config=config)
            if code and self._has_schema():
                raise Broken(f"gc run beside half a restore ended with {code}: {self.rig.logged()}")

    def _has_schema(self) -> bool:
        """Whether the death came late enough for there to be something to collect in."""
        if self.new.kind != STORES[0]:
            return True
        path = self.new.folder / "data" / "metadata.sqlite3"
        if not path.exists():
            return False
        with closing(sqlite3.connect(path)) as db:
            found = db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'blobs'").fetchone()
        return found is not None

    def _begin_anew(self) -> None:
        (self.new.folder / "data").mkdir(parents=True)
        if self.new.kind != STORES[0]:
            self.new.sql(EMPTY)
        for data, kept in ((self.data[0], LARGE), (self.data[1], SMALL // 2)):
            path = self.paths(data)[0]
            path.parent.mkdir(parents=True)
            path.write_bytes(data[:kept])


BACKUPS: tuple[type[Deed], ...] = (Backup, Restore)
