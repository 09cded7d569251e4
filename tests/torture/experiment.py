"""What an experiment is given; `scripts/torture` runs it, and the tests run it shorter."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.torture.journal import Journal
from tests.torture.nursery import Child, Nursery
from tests.torture.points import Points
from tests.torture.service import Service, Store, config_of, opened_store, write_config

__all__ = ["Counts", "Experiment", "Rig", "Run", "rig"]

Counts = Counter[str]


@dataclass
class Run:
    """One run of one experiment.

    Args:
        folder: Its own, empty.
        seed: Whatever it chooses follows from this.
        seconds: How long it may take; it ends at the next step after that.
        stores: The metadata stores to run on.
    """

    folder: Path
    seed: int
    seconds: float
    stores: tuple[str, ...] = ("sqlite", "postgres")
    chance: random.Random = field(init=False)
    _deadline: float = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._deadline = time.monotonic() + self.seconds

    @property
    def left_s(self) -> float:
        """Seconds that are left, below 0 once it is over."""
        return self._deadline - time.monotonic()

    def say(self, what: str) -> None:
        """Tell whoever watches."""
        print(f"   {what}", flush=True)


Experiment = Callable[[Run], Counts]
"""Runs to its end and counts what it did; raises `Broken` where a promise was broken."""


@dataclass
class Rig:
    """A store, a nursery, and one server of the real service with points in it."""

    store: Store
    nursery: Nursery
    points: Points
    config: Path
    service: Service
    journal: Journal = field(default_factory=Journal)
    child: Child | None = None
    """The last command's process."""

    def command(self, *words: str) -> int:
        """Run `juststorage WORDS` on the store; its code."""
        words = (*words, "--config", str(self.config))
        self.child = self.nursery.start(words, self.service.log)
        return self.child.wait()

    def logged(self) -> str:
        """The end of what all processes wrote."""
        return self.service.logged()


@contextmanager
def rig(
    run: Run,
    kind: str,
    *,
    options: Mapping[str, object] | None = None,
    bucket: Mapping[str, object] | None = None,
    **sections: dict[str, object],
) -> Iterator[Rig]:
    """A rig whose server runs.

    Args:
        run: Of which experiment.
        kind: Of metadata store.
        options: Of the metadata store.
        bucket: The section `[blobs]`, for blobs that are not in files.
        sections: Of the server's configuration, over those of the store.
    """
    folder = run.folder / kind
    folder.mkdir()
    path = folder / "points"
    points = Points(path)
    points_at = {"TORTURE_POINTS": str(path)}
    with (
        opened_store(kind, folder) as opened,
        Nursery(folder, points_at) as its,
    ):
        store = replace(opened, blobs=bucket)
        config = write_config(
            folder / "torture.toml", config_of(store, pointed=True, options=options, **sections)
        )
        made = Rig(store, its, points, config, Service(its, config, config.with_suffix(".log")))
        made.service.start()
        yield made
