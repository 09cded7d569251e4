"""A target, what it must endure, and one batch of inputs for it.

A parser is given bytes from outside. Whatever they are, it reads them, or refuses them with an
error that it declares, within `CPU_S` of processor time and `MEMORY_BYTES` more memory. Where what
it read can be written again, writing and reading must give the same. Anything else is a crash.
"""

from __future__ import annotations

import re
import resource
import signal
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

import hypothesis
from hypothesis import HealthCheck, Phase, Verbosity
from hypothesis.strategies import SearchStrategy

from juststorage.errors import JustStorageError
from juststorage_api._http.problem import PROBLEMS, problem_of

__all__ = ["Crash", "Read", "Target", "batch", "is_client_error", "once"]

CPU_S: Final = 2.0
"""Of the processor: on a machine that is busy with other things nothing seems to hang. Inputs are
of 64 KiB at most, and take a millisecond or so."""

MEMORY_BYTES: Final = 2**29

Read = Callable[[Any], str | None]
"""Gives one input to a parser. Returns a word for the counts where it is not simply "read"; raises
what the parser raises, or AssertionError where what it returned is wrong."""


class Crash(Exception):
    """A target did with an input what none may do.

    Args:
        value: The input, which its `repr` writes as a literal.
        told: What happened.
    """

    def __init__(self, value: object, told: str) -> None:
        super().__init__(told)
        self.value = value


class _TooLong(BaseException):
    """Raised where the processor time of an input is over; no `except Exception` may keep it."""


def is_client_error(error: Exception) -> bool:
    """Whether HTTP makes 4xx of it, with a code that is in the contract."""
    if not isinstance(error, JustStorageError):
        return False
    problem = problem_of(error, instance="/", request_id="1", challenge="ApiKey")
    return 400 <= problem.status < 500 and problem.code in PROBLEMS


class Target(NamedTuple):
    """A parser under attack.

    Args:
        inputs: What it is given: values that a literal can write, so that each can be repeated.
        read: See `Read`; None where `opened` gives it.
        is_refusal: Which of its exceptions are declared.
        opened: Where it needs something that is opened, and anew for each batch.
    """

    inputs: SearchStrategy[Any]
    read: Read | None = None
    is_refusal: Callable[[Exception], bool] = is_client_error
    opened: Callable[[], AbstractContextManager[Read]] | None = None

    def open(self) -> AbstractContextManager[Read]:
        """How to give it inputs."""
        if self.opened is not None:
            return self.opened()
        assert self.read is not None
        return nullcontext(self.read)


def batch(
    target: Target, seed: int, inputs: int, counts: Counter[str], *, cpu_s: float = CPU_S
) -> None:
    """Give a target so many inputs; equal seeds give equal ones, each batch by itself.

    Raises:
        Crash: With the simplest input that was found to do it.
    """
    crashes: list[Crash] = []
    with target.open() as read, _little_memory():

        def give(value: Any) -> None:
            try:
                _give(target, read, value, counts, cpu_s)
            except Crash as crash:
                crashes.append(crash)
                raise

        try:
            _many(give, target.inputs, seed, inputs)
        except BaseException:
            if crashes:  # the last one is the simplest: that is tried again at the end
                raise crashes[-1] from None
            raise


def once(target: Target, value: object, *, cpu_s: float = CPU_S) -> str:
    """Give it this one input; the word for what it made of it.

    Raises:
        Crash: As `batch`.
    """
    counts: Counter[str] = Counter()
    with target.open() as read, _little_memory():
        _give(target, read, value, counts, cpu_s)
    return next(word for word in counts if word != "inputs")


def _many(give: Callable[[Any], None], values: SearchStrategy[Any], seed: int, inputs: int) -> None:
    settings = hypothesis.settings(
        max_examples=inputs,
        database=None,  # the seed alone decides
        deadline=None,
        derandomize=False,
        phases=(Phase.generate, Phase.shrink),
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
        verbosity=Verbosity.quiet,
    )
    hypothesis.seed(seed)(settings(hypothesis.given(values)(give)))()


def _give(target: Target, read: Read, value: object, counts: Counter[str], cpu_s: float) -> None:
    counts["inputs"] += 1
    try:
        with _little_time(cpu_s):
            word = read(value) or "read"
    except _TooLong:
        raise Crash(value, f"took over {cpu_s:g} s of the processor") from None
    except Exception as error:
        if not target.is_refusal(error):
            raise Crash(value, _told(error)) from error
        word = f"refused: {getattr(error, 'code', type(error).__name__)}"
    counts[word] += 1


def _told(error: Exception) -> str:
    """What was raised, and where: the last lines of ours, and the last one of all."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [each for each in frames if "juststorage" in Path(each.filename).parent.as_posix()]
    places = [f"{Path(each.filename).name}:{each.lineno} {each.name}" for each in ours[-3:]]
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    return f"{what[:500]} ({' > '.join(places) or 'outside of the service'})"


@contextmanager
def _little_time(cpu_s: float) -> Iterator[None]:
    def over(_: int, __: FrameType | None) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGPROF, over)
    # Again and again: what is raised in a callback of the garbage collector reaches nobody.
    signal.setitimer(signal.ITIMER_PROF, cpu_s, cpu_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def _little_memory() -> Iterator[None]:
    """Whoever asks for more gets MemoryError, which no parser declares."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    found = re.search(r"^VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    resource.setrlimit(resource.RLIMIT_AS, (int(found[1]) * 1024 + MEMORY_BYTES, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
