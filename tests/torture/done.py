"""What complete passes have behind them, in a file that a later one goes on from.

A line for each step: its name, how long it took, and what it counted, so that the figures of a pass
are those of all runs that it took. The file says which source it is of. A pass that goes on after a
change has seen no source whole: what was clean before the change may not be so after it.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

__all__ = ["Done", "OtherSource", "source"]

_ROOT = Path(__file__).parents[2]


class OtherSource(Exception):
    """The file is of another source; says what to do."""


def source() -> str:
    """The commit of this checkout, and what was changed since then.

    Raises:
        OtherSource: This is no checkout.
    """

    def git(*words: str) -> str:
        command = ["git", "-C", str(_ROOT), *words]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    try:
        commit = git("rev-parse", "HEAD").strip()
        changes = git("diff", "HEAD", "--", "packages", "tests")
        new = git("ls-files", "--others", "--exclude-standard", "--", "packages", "tests")
        for name in new.splitlines():
            changes += f"{name}\n{(_ROOT / name).read_text(errors='replace')}"
    except (OSError, subprocess.CalledProcessError):
        raise OtherSource(
            "what was done is kept with its commit, and this is no checkout"
        ) from None
    if not changes:
        return commit
    return f"{commit} with changes {hashlib.sha256(changes.encode()).hexdigest()[:12]}"


class Done:
    """The steps of one experiment that are behind it.

    Args:
        path: The file, which need not be there yet; several experiments may share one.
        experiment: Which.
        source: Which source it has to be of: see `source`.

    Raises:
        OtherSource: It is of another one.
    """

    def __init__(self, path: Path, experiment: str, source: str) -> None:
        self._path = path
        self._experiment = experiment
        self.names: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0
        """How long all of them took."""
        if not path.exists():
            self._write({"source": source})
            return
        first, *others = path.read_text().splitlines()
        begun = _source_of(first)
        if begun != source:
            raise OtherSource(
                f"{path} is of {begun}, and this is {source}: points may be others now."
                " Go on with the source that it is of, or name another file to begin anew"
            )
        for line in others:
            step = json.loads(line)
            if step["experiment"] == experiment:
                self.names.add(step["name"])
                self.counts.update(step["counts"])
                self.seconds += step["seconds"]

    def note(self, name: str, counts: Mapping[str, int], seconds: float) -> None:
        """This step is behind it."""
        self.names.add(name)
        self.seconds += seconds
        self._write(
            {
                "experiment": self._experiment,
                "name": name,
                "seconds": round(seconds, 2),
                "counts": dict(counts),
            }
        )

    def _write(self, line: object) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")


def _source_of(line: str) -> str:
    try:
        return str(json.loads(line)["source"])
    except (ValueError, TypeError, KeyError):
        return "no known source"
