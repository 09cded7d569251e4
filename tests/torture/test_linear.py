"""The checker of histories, beside one that tries every order."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.torture.history import Asked, operation
from tests.torture.linear import Operation, is_linearizable, shortest_failing

Op = Operation[str | None]

_VALUES = st.sampled_from(["a", "b"])
_TAGS = st.none() | st.sampled_from([("If-Match", "a"), ("If-Match", "b"), ("If-None-Match", "*")])
_ASKED = st.one_of(
    st.builds(Asked, st.just("PUT"), _TAGS, _VALUES),
    st.builds(Asked, st.just("GET"), _TAGS),
    st.builds(Asked, st.just("DELETE"), _TAGS),
)
_ANSWERS = st.sampled_from([200, 201, 204, 304, 404, 412])


@st.composite
def _histories(draw: st.DrawFn) -> list[Op]:
    """Some that are linearizable, and more that are not."""
    history = []
    for _ in range(draw(st.integers(1, 5))):
        called = draw(st.integers(0, 8))
        returned = draw(st.integers(called, 9) | st.just(math.inf))
        asked = draw(_ASKED)
        status = None if returned == math.inf else draw(_ANSWERS)
        history.append(operation(asked, called, returned, status, draw(_VALUES)))
    return history


def _tried(history: Sequence[Op]) -> bool:
    """Every order of everything that is known, and some of what is not."""
    known = [each for each in history if each.is_known]
    open_ones = [each for each in history if not each.is_known]
    for count in range(len(open_ones) + 1):
        for some in combinations(open_ones, count):
            if any(_explains(order) for order in permutations([*known, *some])):
                return True
    return False


def _explains(order: Sequence[Op]) -> bool:
    for place, earlier in enumerate(order):
        if any(later.returned < earlier.called for later in order[place + 1 :]):
            return False
    states: set[str | None] = {None}
    for each in order:
        states = {after for state in states for after in each.after(state)}
    return bool(states)


@settings(max_examples=400, deadline=None)
@given(_histories())
def test_it_says_the_same_as_trying_everything(history: list[Op]) -> None:
    """On anything, possible or not."""
    assert is_linearizable(history, None) is _tried(history)


@settings(max_examples=100, deadline=None)
@given(_histories())
def test_what_is_shown_of_a_failure_fails(history: list[Op]) -> None:
    """The shortest part is no more than the history, and still wrong."""
    if is_linearizable(history, None):
        with pytest.raises(ValueError, match="linearizable"):
            shortest_failing(history, None)
    else:
        shown = shortest_failing(history, None)
        assert not _tried(shown)
        assert len(shown) <= len(history)


def _put(called: float, returned: float, value: str, status: int | None) -> Op:
    return operation(Asked("PUT", None, value), called, returned, status, None)


def _get(called: float, returned: float, status: int, value: str | None = None) -> Op:
    return operation(Asked("GET", None), called, returned, status, value)


def test_a_stale_read_is_found() -> None:
    """What was replaced before a read began is not read."""
    history = [_put(0, 1, "a", 201), _put(2, 3, "b", 200), _get(4, 5, 200, "a")]
    assert not is_linearizable(history, None)
    assert is_linearizable([*history[:2], _get(2.5, 5, 200, "a")], None)


def test_what_was_not_answered_may_come_late_once() -> None:
    """It may show at any time later, and cannot come twice."""
    late = _put(0, math.inf, "a", None)
    nothing, something = _get(1, 2, 404), _get(5, 6, 200, "a")
    assert is_linearizable([late, nothing, something], None)
    gone = operation(Asked("DELETE", None), 7, 8, 204, None)
    assert is_linearizable([late, nothing, something, gone], None)
    assert not is_linearizable([late, nothing, something, gone, _get(9, 10, 200, "a")], None)


def test_two_who_both_create_are_found() -> None:
    """Of two PUTs at once one creates, and the other replaces."""
    assert not is_linearizable([_put(0, 2, "a", 201), _put(1, 3, "b", 201)], None)
    assert is_linearizable([_put(0, 2, "a", 201), _put(1, 3, "b", 200)], None)
