"""`juststorage import`, which a death on either side breaks off, and which is simply run again.

The files of a tree become objects: all of them, each once, whatever died on the way. What a file's
object is after a death: whole, or not there.
"""

from __future__ import annotations

import json
import time

from tests.torture.acts import BY_KEY, LARGE, SMALL, Deed
from tests.torture.journal import Broken
from tests.torture.points import Act, Side
from tests.torture.service import API_KEY

__all__ = ["IMPORTS"]

_SIZES = {"a": SMALL, "b": 0, "c/d": LARGE, "c/e": SMALL}
_PATIENCE_S = 20
_ENDS_S = 60
_AWAY = 4
"""Exit code: the server does not answer."""


class Import(Deed):
    """The server dies, and starts again while the command waits for it: it goes on by itself."""

    is_command = True

    @property
    def side(self) -> Side:
        """It is the server that dies, and of the command's points none is counted."""
        return Side.ANY if self.kills == Act.KILL_CLIENT else Side.SERVER

    def prepare(self) -> None:
        self.name = self.bytes(6).hex()
        self.files = {path: self.bytes(size) for path, size in _SIZES.items()}
        # Two files of one content, and one that is there already.
        self.files["c/f"] = self.at_stake = self.files["c/d"]
        self.folder = self.rig.store.folder / "imported" / self.name
        for path, data in self.files.items():
            file = self.folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        self.key_file = self.rig.store.folder / "key"
        self.key_file.write_text(API_KEY)
        self.stored(self.files["a"], f"{self.name}/a")

    def act(self) -> bool:
        if not self._command():
            return False
        # What is asked from here on has points as well, and is no part of the act.
        self.rig.points.disarm()
        self._keep_serving()
        self._nothing_twice()
        return True

    def recover(self) -> None:
        """Each file's object is whole, or it is not there."""
        for path, data in self.files.items():
            answer = self.well(self.rig.service.call("GET", self._url(path)), 200, 404)
            if answer[0] == 200 and answer[1] != data:
                raise Broken(f"half an import: {path} has {len(answer[1])} bytes")

    def _url(self, path: str) -> str:
        return f"{BY_KEY}/{self.name}/{path}"

    def _command(self, *, again: bool = True) -> bool:
        """Run it to its end, starting the server again if that dies; False if itself was killed."""
        words = ["import", str(self.folder), f"n/t/{self.name}/", "--jobs", "1"]
        words += ["--url", f"http://127.0.0.1:{self.rig.service.port}"]
        words += ["--key-file", str(self.key_file), "--patience", str(_PATIENCE_S)]
        child = self.rig.nursery.start(words, self.rig.service.log)
        until = time.monotonic() + _ENDS_S
        while child.is_running and time.monotonic() < until:
            self._keep_serving()
            time.sleep(0.005)
        code = child.kill()
        if code == _AWAY and self.died and again:
            # A statement of the server's own was the point, such as when a key was used last: it
            # died before the command had reached it at all, which then takes the URL for wrong.
            return self._command(again=False)
        if code not in self.codes:
            raise Broken(f"import ended with code {code}: {self.rig.logged()}")
        return code == 0

    def _keep_serving(self) -> None:
        """Start the server again if it died."""
        server = self.rig.service.child
        assert server is not None
        if not server.is_running:
            if server.wait() != -9:
                raise Broken(f"the server ended by itself: {self.rig.logged()}")
            self.rig.service.start()
            self.died = True

    def _nothing_twice(self) -> None:
        """All there, with their bytes, and one object for each; the journal is told."""
        target = f"/v1/objects?namespace=n&tenant_id=t&prefix={self.name}/&limit=1000"
        listed = json.loads(self.well(self.rig.service.call("GET", target), 200)[1])["objects"]
        keys = sorted(each["key"] for each in listed)
        if keys != sorted(f"{self.name}/{path}" for path in self.files):
            raise Broken(f"after an import there is {keys}")
        known = {entry.id for entry in self.journal.living}
        for each in listed:
            data = self.files[each["key"].removeprefix(f"{self.name}/")]
            if each["id"] not in known:
                self.journal.uploaded(json.dumps(each).encode(), data, each["key"])


class ImportDying(Import):
    """The command dies, before any of its words to the server or from it, and is run again."""

    kills = Act.KILL_CLIENT


IMPORTS: tuple[type[Deed], ...] = (Import, ImportDying)
