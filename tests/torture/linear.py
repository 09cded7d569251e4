"""Whether a history is linearizable: whether each operation may have happened at one instant.

The search of Wing and Gong (Testing and verifying concurrent objects, Journal of Parallel and
Distributed Computing 17, 1993), with the memory of Lowe (Testing for linearizability, Concurrency
and Computation 29, 2017): an order is built from its beginning, and what has been reached once, the
same operations done and the same state, is not tried again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Operation", "is_linearizable", "shortest_failing"]

StateT = TypeVar("StateT", bound=Hashable)


@dataclass(frozen=True)
class Operation(Generic[StateT]):
    """One request.

    Args:
        called: When it was sent, in seconds of the client's steady clock.
        returned: When its answer had come; infinity where none came, or one that leaves it open:
            it may have happened at any time since then, or never.
        after: The states that it may leave behind where it meets this one, answered as it was; none
            where it could not have been answered so.
        what: For people.
    """

    called: float
    returned: float
    after: Callable[[StateT], Sequence[StateT]]
    what: str = ""

    @property
    def is_known(self) -> bool:
        """Whether it has happened for certain."""
        return self.returned != math.inf


def is_linearizable(history: Sequence[Operation[StateT]], initial: StateT) -> bool:
    """Whether there is an order that explains all answers and keeps to the time.

    An operation that returned before another one was called comes before it.

    Args:
        history: In any order.
        initial: The state before.
    """
    known = sum(1 << n for n, each in enumerate(history) if each.is_known)
    waiting = [(0, initial)]
    seen = set(waiting)
    while waiting:
        done, state = waiting.pop()
        if done & known == known:
            return True
        left = [n for n in range(len(history)) if not done >> n & 1]
        first_end = min(history[n].returned for n in left)
        for n in left:
            if history[n].called > first_end:
                continue
            for after in history[n].after(state):
                if after == state and not history[n].is_known:
                    continue  # it may as well never happen
                reached = done | 1 << n, after
                if reached not in seen:
                    seen.add(reached)
                    waiting.append(reached)
    return False


def shortest_failing(
    history: Sequence[Operation[StateT]], initial: StateT
) -> list[Operation[StateT]]:
    """Of a history that is not linearizable, the operations up to the first answer that is wrong.

    What had not returned by then is open: it may be the reason for what was answered.
    """
    for end in sorted(each.returned for each in history if each.is_known):
        begun = [
            each
            if each.returned <= end
            else Operation(each.called, math.inf, each.after, each.what)
            for each in history
            if each.called <= end
        ]
        if not is_linearizable(begun, initial):
            return sorted(begun, key=lambda each: each.called)
    raise ValueError("it is linearizable")
