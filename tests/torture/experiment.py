"""What an experiment is given; `scripts/torture` runs it, and the tests run it shorter."""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from tests.torture.journal import Journal
from tests.torture.nursery import Child, Nursery
from tests.torture.points import Points
from tests.torture.service import Service, Store, config_of, opened_store, write_config

__all__ = ["Counts", "Experiment", "Rig", "Run", "rig"]

Counts = Counter[str]

T = TypeVar("T")

_TOLD_EVERY_S = 30.0


@dataclass
class Run:
    """One run of one experiment.

    Args:
        folder: Its own, empty.
        seed: Whatever it chooses follows from this.
        seconds: How long it may take; it ends at the next step after that.
        stores: The metadata stores to run on.
        is_complete: Do all that there is, each once and in a fixed order, however long that takes.
        done: A file of what a complete pass has behind it, which a later run goes on from.
    """

    folder: Path
    seed: int
    seconds: float
    stores: tuple[str, ...] = ("sqlite", "postgres")
    is_complete: bool = False
    done: Path | None = None
    chance: random.Random = field(init=False)
    counts: Counts = field(init=False, default_factory=Counter)
    """What it did, so far."""

    _deadline: float = field(init=False)
    _told: float = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._told = time.monotonic()
        self._deadline = math.inf if self.is_complete else self._told + self.seconds

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to end before its time."""
        return self._deadline == -math.inf

    def stop(self) -> None:
        """Let it end at the next step."""
        self._deadline = -math.inf

    def until_left_s(self, place: int, of: int | None = None) -> float:
        """What is to be left when the `place`-th of the stores, from 0, has had its share."""
        if math.isinf(self._deadline):
            return 0
        return self.left_s - self.left_s / ((of or len(self.stores)) - place)

    @property
    def left_s(self) -> float:
        """Seconds that are left, below 0 once it is over."""
        return self._deadline - time.monotonic()

    def say(self, what: str) -> None:
        """Tell whoever watches."""
        print(f"   {what}", flush=True)

    def each(
        self, todo: Sequence[T], name: Callable[[T], str], *, until_left_s: float = 0
    ) -> Iterator[T]:
        """What there is to do, while there is time.

        A complete pass goes through it as it comes and leaves out what is done; any other run
        shuffles it. What raises is not done.

        Args:
            todo: All there is.
            name: Of one of them; the same in every run.
            until_left_s: When to end.
        """
        if not self.is_complete:
            todo = list(todo)
            self.chance.shuffle(todo)
        done = self._read_done()
        for number, this in enumerate(todo, 1):
            if self.left_s <= until_left_s:
                return
            if self.is_complete and name(this) in done:
                continue
            yield this
            if self.is_stopped:
                return  # perhaps in the middle of it
            if self.is_complete:
                self._note_done(name(this))
            self.tell(f"{name(this)}, {number} of {len(todo)}")

    def tell(self, where: str) -> None:
        """Tell whoever watches a complete pass, now and then."""
        now = time.monotonic()
        if self.is_complete and now - self._told > _TOLD_EVERY_S:
            self._told = now
            counted = ", ".join(f"{n:,} {what}" for what, n in sorted(self.counts.items()))
            self.say(f"{time.strftime('%H:%M:%S')} {where}: {counted}")

    def _read_done(self) -> set[str]:
        if self.done is None or not self.done.exists():
            return set()
        return set(self.done.read_text().splitlines())

    def _note_done(self, name: str) -> None:
        if self.done is not None:
            with self.done.open("a") as file:
                file.write(name + "\n")


Experiment = Callable[[Run], Counts]
"""Runs to its end and counts what it did; raises `Broken` where a promise was broken."""


_ENDS_S = 180
"""How long a command may take that is frozen for a while, on a machine that is busy."""


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
        return self.child.wait(_ENDS_S)

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
