"""What an experiment is given; `scripts/torture` runs it, and the tests run it shorter."""

from __future__ import annotations

import math
import random
import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from tests.torture.done import Done
from tests.torture.journal import Journal
from tests.torture.members import Service
from tests.torture.nursery import Child, Nursery
from tests.torture.points import Points
from tests.torture.service import STORES, Store, config_of, opened_store, write_config

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
        done: What a complete pass has behind it, which this one goes on from.
        only: How the names of the steps begin that are to be done; any, unless something is given.
    """

    folder: Path
    seed: int
    seconds: float
    stores: tuple[str, ...] = ("sqlite", "postgres")
    is_complete: bool = False
    done: Done | None = None
    only: str = ""
    chance: random.Random = field(init=False)
    """What the step under way chooses by. It follows from the seed and the step's name, so that a
    step which is repeated alone chooses the same."""

    at: str = field(init=False, default="")
    """The name of the step under way."""

    on: str = field(init=False, default="")
    """The store of the last rig."""

    steps: int = field(init=False, default=0)
    """How many were begun."""

    counts: Counts = field(init=False, default_factory=Counter)
    """What it did, so far; with what the runs before did that it goes on from."""

    _order: random.Random = field(init=False)
    _deadline: float = field(init=False)
    _told: float = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._order = random.Random(self.seed)
        self._told = time.monotonic()
        self.is_complete = self.is_complete or bool(self.only)
        self._deadline = math.inf if self.is_complete else self._told + self.seconds
        if self.done is not None:
            self.counts += self.done.counts

    @property
    def is_stopped(self) -> bool:
        """Whether it was told to end before its time."""
        return self._deadline == -math.inf

    @property
    def is_whole(self) -> bool:
        """Whether it does all that there is, and was not told to leave some of it."""
        return self.is_complete and not self.only and not self.is_stopped

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

    @contextmanager
    def not_counted(self) -> Iterator[None]:
        """Its clock stands still: what it takes to begin, on a busy machine, is nobody's share."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._deadline += time.monotonic() - began

    def say(self, what: str) -> None:
        """Tell whoever watches."""
        print(f"   {what}", flush=True)

    # -- steps ----------------------------------------------------------------------------------

    def each(
        self, todo: Sequence[T], name: Callable[[T], str], *, until_left_s: float = 0
    ) -> Iterator[T]:
        """What there is to do, while there is time; a run does not end without one step.

        A complete pass goes through it as it comes and leaves out what is done; any other run
        shuffles it. What raises is not done.

        Args:
            todo: All there is.
            name: Of one of them; the same in every run, and no other has it.
            until_left_s: When to end.
        """
        if not self.is_complete:
            todo = list(todo)
            self._order.shuffle(todo)
        for number, this in enumerate(todo, 1):
            if self._is_over(until_left_s):
                return
            if self.done is not None and name(this) in self.done.names:
                continue
            if not name(this).startswith(self.only):
                continue
            before, began = self.counts.copy(), time.monotonic()
            self.begin(name(this))
            self.steps += 1
            yield this
            self.at = ""
            if self.is_stopped:
                return  # perhaps in the middle of it
            if self.done is not None:
                counted = {k: n - before[k] for k, n in self.counts.items() if n != before[k]}
                self.done.note(name(this), counted, time.monotonic() - began)
            self.tell(f"{name(this)}, {number} of {len(todo)}")

    def in_turns(
        self,
        todo_of: Mapping[str, Callable[[], Sequence[T]]],
        name: Callable[[T], str],
        *,
        until_left_s: float = 0,
    ) -> Iterator[T]:
        """What there is to do of each act, while there is time; see `each`.

        A complete pass goes act by act. Any other run takes a step of each in turns, so that one
        that ends early has seen something of many.

        Args:
            todo_of: By the name of an act, with which those of its steps begin: finds out all there
                is. Not called for acts of which nothing is to be done.
            name: Of a step; see `each`.
            until_left_s: When to end.
        """
        acts = list(todo_of)
        if not self.is_complete:
            self._order.shuffle(acts)
        known: dict[str, list[T]] = {}
        while acts and not self._is_over(until_left_s):
            act = acts.pop(0)
            if not (self.only.startswith(act) or act.startswith(self.only)):
                continue
            if act not in known:
                self.begin(f"{act}, undisturbed")
                known[act] = list(todo_of[act]())
                self.at = ""
                if self.is_complete:
                    yield from self.each(known[act], name, until_left_s=until_left_s)
                    continue
                self._order.shuffle(known[act])
            if known[act]:
                acts.append(act)
                this = known[act].pop()
                self.begin(name(this))
                self.steps += 1
                yield this
                self.at = ""

    def _is_over(self, until_left_s: float) -> bool:
        return self.is_stopped or (self.steps > 0 and self.left_s <= until_left_s)

    def begin(self, name: str) -> None:
        """A step of this name is under way: it has choices of its own."""
        self.at = name
        self.chance = random.Random(f"{self.seed} {name}")

    def tell(self, where: str) -> None:
        """Tell whoever watches a complete pass, now and then."""
        now = time.monotonic()
        if self.is_complete and now - self._told > _TOLD_EVERY_S:
            self._told = now
            counted = ", ".join(f"{n:,} {what}" for what, n in sorted(self.counts.items()))
            self.say(f"{time.strftime('%H:%M:%S')} {where}: {counted}")

    def again(self, experiment: str) -> str:
        """The command that repeats what is under way: the step alone, where it is one."""
        stores, only = self.stores, self.at or self.only
        if self.at and self.on:
            stores = (self.on,)
        if only:
            how = f"--only {shlex.quote(only)}"
        else:
            how = "--all" if self.is_complete else f"--minutes {self.seconds / 60:g}"
        chosen = "" if set(stores) == set(STORES) else "".join(f" --store {s}" for s in stores)
        return f"scripts/torture --seed {self.seed}{chosen} {how} {experiment}"


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
    name: str = "",
    options: Mapping[str, object] | None = None,
    bucket: Mapping[str, object] | None = None,
    **sections: dict[str, object],
) -> Iterator[Rig]:
    """A rig whose server runs.

    Args:
        run: Of which experiment.
        kind: Of metadata store.
        name: Where a run has several of a kind, of this one's folder.
        options: Of the metadata store.
        bucket: The section `[blobs]`, for blobs that are not in files.
        sections: Of the server's configuration, over those of the store.
    """
    run.on = kind
    folder = run.folder / (name or kind)
    folder.mkdir()
    path = folder / "points"
    points = Points(path)
    points_at = {"TORTURE_POINTS": str(path)}
    with ExitStack() as stack:
        with run.not_counted():
            opened = stack.enter_context(opened_store(kind, folder))
            its = stack.enter_context(Nursery(folder, points_at))
            store = replace(opened, blobs=bucket)
            written = config_of(store, pointed=True, options=options, **sections)
            config = write_config(folder / "torture.toml", written)
            log = config.with_suffix(".log")
            made = Rig(store, its, points, config, Service(its, config, log))
            made.service.start()
        yield made
