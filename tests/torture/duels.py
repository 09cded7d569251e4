"""Duels: two clients, at a server each, who replace one key on the same condition at once.

Whoever wins, the other one may not: two servers that both say yes have split. And all that was
answered, to a third who reads the key in between as well, has to have an order (`history.py`).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from tests.torture.clients import beside
from tests.torture.experiment import Counts
from tests.torture.history import Asked, KeyClient, judge
from tests.torture.journal import Broken
from tests.torture.model.state import etag_of

__all__ = ["Duels"]

_WAITING_S = 120
_SIZES = (1, 5000)
_DELETING = 0.2
_SUCCESS = frozenset({200, 201, 204})


class Duels:
    """Duels over some keys, which nobody else knows, each between two clients of its own.

    Args:
        namespace: Of the keys. Nothing is in it.
        ports: Of the two servers.
        keys: How many.
        chance: For repeatable choices.
    """

    def __init__(
        self, namespace: str, ports: Sequence[int], keys: int, chance: random.Random
    ) -> None:
        self.namespace = namespace
        self._ports = ports
        self._chance = chance
        self._pairs = [_Pair(key, ports, self.path, chance) for key in range(keys)]

    def path(self, key: int) -> str:
        """Of a key."""
        return f"/v1/objects/by-key/{self.namespace}/t/k{key}"

    @property
    def paths(self) -> list[str]:
        """Of all keys."""
        return [self.path(pair.key) for pair in self._pairs]

    @contextmanager
    def fought(self) -> Iterator[None]:
        """Let them be fought beside the block.

        Raises:
            Broken: Of two of which one at most may have won both have; or an answer that no state
                of the key explains.
        """
        with beside([partial(pair.fight, n) for pair in self._pairs for n in range(2)]):
            yield
        for pair in self._pairs:
            if pair.problem is not None:
                raise pair.problem

    def judge(self, counts: Counts) -> None:
        """Read each key at both servers, and see whether all answers have an order.

        Raises:
            Broken: They have none.
        """
        last = [_client([port], self.path, self._chance) for port in self._ports]
        for pair in self._pairs:
            for client in last:
                client.note(pair.key, Asked("GET"), None)
            counts.update(pair.counts)
        clients = [*last, *(client for pair in self._pairs for client in pair.clients)]
        judge(counts, clients, len(self._pairs), self.namespace)


def _client(ports: Sequence[int], path: Callable[[int], str], chance: random.Random) -> KeyClient:
    return KeyClient(ports, path, path, random.Random(chance.random()), vanishing=0)


class _Pair:
    """The two, and who looks at the key before each duel."""

    def __init__(
        self,
        key: int,
        ports: Sequence[int],
        path: Callable[[int], str],
        chance: random.Random,
    ) -> None:
        self.key = key
        self.counts = Counts()
        self.problem: BaseException | None = None
        self._duellists = [_client([port], path, chance) for port in ports]
        self._looking = _client(ports, path, chance)
        self._both = threading.Barrier(len(ports), action=self._begin)
        self._condition = ("", "")
        self._answers: list[int | None] = []
        self._over = threading.Event()

    @property
    def clients(self) -> list[KeyClient]:
        """All three."""
        return [*self._duellists, self._looking]

    def fight(self, number: int, over: threading.Event) -> None:
        """Be the one or the other, until it is over."""
        self._over = over
        who = self._duellists[number]
        try:
            while True:
                self._both.wait(_WAITING_S)
                if not self._condition[0]:
                    return
                self._answers.append(self._strike(who))
        except threading.BrokenBarrierError:
            if self.problem is None:
                self.problem = Broken(f"a duel over k{self.key} does not end")
        except BaseException as error:  # noqa: BLE001  told by the main thread
            self.problem = self.problem or error
            self._both.abort()

    def _begin(self) -> None:
        """The last duel is over, and who comes now finds the key as it is."""
        try:
            self._end_last()
            self._condition = self._looked()
        except BaseException as error:
            self.problem = error
            raise

    def _looked(self) -> tuple[str, str]:
        while not self._over.is_set():
            status = self._looking.note(self.key, Asked("GET"), None)
            if status == 200:
                return "If-Match", self._looking.tags[-1]
            if status == 404:
                return "If-None-Match", "*"
            time.sleep(0.02)
        return "", ""

    def _strike(self, who: KeyClient) -> int | None:
        if self._condition[0] == "If-Match" and who.chance.random() < _DELETING:
            return who.note(self.key, Asked("DELETE", self._condition), None)
        data = who.chance.randbytes(8) * who.chance.choice(_SIZES)  # nobody else's, nor ever again
        return who.note(self.key, Asked("PUT", self._condition, etag_of(data)), data)

    def _end_last(self) -> None:
        if not self._answers:
            return
        answers, self._answers = self._answers, []
        winners = sum(answer in _SUCCESS for answer in answers)
        if winners > 1:
            condition = ": ".join(self._condition)
            raise Broken(
                f"a split decision over {self._looking.path(self.key)}: {condition} is"
                f" answered {answers[0]} by one server and {answers[1]} by the other"
            )
        self.counts["duels"] += 1
        if None in answers:
            self.counts["duels whose outcome was left open to one, or both"] += 1
            time.sleep(0.02)  # whoever has no database, or no bucket, may say so at once
        elif winners:
            self.counts["duels with one winner, and both told"] += 1
        else:
            self.counts["duels that a late word of an earlier one decided"] += 1
