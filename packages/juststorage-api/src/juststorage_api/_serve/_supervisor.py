"""Several workers: started by forking, started again when they die, stopped together.

The parent does nothing else: no event loop, no thread, no open backend. That is what makes forking
sound, and the parent hard to kill by accident. Modules are loaded before, so that the workers share
them in memory and pay one start of the interpreter together.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from juststorage.errors import BackendError, JustStorageError, Misconfigured
from juststorage_api._serve._stopping import HURRY_AFTER_S

__all__ = ["Link", "Supervisor", "explain"]

_DEATHS_MAX = 5
_DEATHS_WINDOW_S = 60.0
_PAUSES = 8
"""The longest pause before a replacement, in units of the first one that is not none."""

_KILL_MARGIN_S = 10.0
"""What a worker may need beyond its drain timeout: to cut requests off and to close the runtime."""

_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGCHLD})
_log = logging.getLogger("juststorage.serve")


def _nothing(index: int) -> None:
    pass


class _Told(msgspec.Struct, frozen=True):
    """A worker's one message: it is ready (no detail), or why it cannot start."""

    detail: str | None


@dataclass(frozen=True, slots=True)
class Link:
    """What a worker gets from its supervisor.

    Args:
        index: 0 for the first one.
        is_first_life: Whether it is not a replacement.
        parent: Read end of a pipe from the supervisor; see `Stopping`.
        ready: To be called once everything is open.
    """

    index: int
    is_first_life: bool
    parent: int
    ready: Callable[[], None]


@dataclass(slots=True)
class _Child:
    index: int
    pid: int
    is_first_life: bool
    messages: int
    line: int
    told: _Told | None = None


@dataclass(slots=True)
class Supervisor:
    """Runs `count` copies of `work`, each in a process of its own. For a process that then ends.

    Args:
        count: How many.
        work: Called in the worker; returns its exit code. A `JustStorageError` from it before it
            called `ready` means that it cannot start.
        drain_timeout_s: What `work` needs at most to end once it got SIGTERM, but for a margin.
        pause_s: The first worker that dies is replaced at once, the second one after this time, the
            next ones after longer and longer; the sixth within a minute ends all.
        on_gone: Told the index of each worker that has ended.
    """

    count: int
    work: Callable[[Link], int]
    drain_timeout_s: float
    pause_s: float = 1.0
    on_gone: Callable[[int], None] = _nothing
    _children: dict[int, _Child] = field(default_factory=dict)
    _deaths: deque[float] = field(default_factory=deque)
    _due: list[tuple[float, int]] = field(default_factory=list)

    def run(self) -> int:
        """Start the workers and keep them running until SIGTERM or SIGINT.

        Returns:
            The exit code: 0 when all ended well after a signal, 1 when they died too often.

        Raises:
            Misconfigured: A worker could not start, in its words. All are stopped.
        """
        # For good: what arrives after the end, while the interpreter closes, changes nothing.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        gc.collect()
        gc.freeze()  # what the workers share stays shared: a collection would write to all of it
        try:
            for index in range(self.count):
                self._start(index, is_first_life=True)
            return self._watch()
        finally:
            self._stop()

    # -- the parent -----------------------------------------------------------------------------

    def _watch(self) -> int:
        while True:
            received = signal.sigtimedwait(_SIGNALS, self._until_due())
            if received is not None and received.si_signo != signal.SIGCHLD:
                return 0 if self._stop(received.si_signo) else 1
            for child, status in self._reap():
                if not self._may_replace(child, status):
                    return 1
            now = time.monotonic()
            for at, index in list(self._due):
                if at <= now:
                    self._due.remove((at, index))
                    self._start(index, is_first_life=False)

    def _may_replace(self, child: _Child, status: int) -> bool:
        """Plan a replacement for a worker that died, unless that is pointless."""
        how = _ended(status)
        refusal = child.told.detail if child.told is not None else f"a worker {how}"
        if refusal is not None:
            if child.is_first_life:
                raise Misconfigured(refusal)
            how = f"could not start: {refusal}"
        now = time.monotonic()
        self._deaths.append(now)
        while now - self._deaths[0] > _DEATHS_WINDOW_S:
            self._deaths.popleft()
        if len(self._deaths) > _DEATHS_MAX:
            _log.critical("workers died %d times within a minute: giving up", len(self._deaths))
            return False
        pause_s = self.pause_s * min(2 ** (len(self._deaths) - 1) - 1, _PAUSES)
        _log.error(
            "worker %d (pid %d) %s; starting another in %g s",
            child.index + 1,
            child.pid,
            how,
            pause_s,
        )
        self._due.append((now + pause_s, child.index))
        return True

    def _until_due(self) -> float:
        if not self._due:
            return 3600.0
        return max(0.0, min(at for at, _ in self._due) - time.monotonic())

    def _reap(self) -> list[tuple[_Child, int]]:
        gone = []
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            child = self._children.pop(pid, None)
            if child is not None:
                child.told = _read(child.messages)
                os.close(child.line)
                self.on_gone(child.index)
                gone.append((child, status))
        return gone

    def _stop(self, signum: int = signal.SIGTERM) -> bool:
        """Stop all workers by a signal, wait, pass on a second one; whether all went well."""
        well = True
        hurry_from = time.monotonic() + HURRY_AFTER_S
        self._signal_all(signum)
        deadline = time.monotonic() + self.drain_timeout_s + _KILL_MARGIN_S
        while self._children:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                _log.error("%d workers did not end in time and are killed", len(self._children))
                self._signal_all(signal.SIGKILL)
                well = False
                left_s = 5.0
            received = signal.sigtimedwait(_SIGNALS, left_s)
            is_second = received is not None and received.si_signo != signal.SIGCHLD
            if is_second and time.monotonic() >= hurry_from:
                self._hurry_all()
            statuses = [status for _, status in self._reap()]
            well = well and not any(statuses)
        return well

    def _signal_all(self, signum: int) -> None:
        for pid in self._children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signum)

    def _hurry_all(self) -> None:
        for child in self._children.values():
            with contextlib.suppress(BrokenPipeError):
                os.write(child.line, b"!")

    def _start(self, index: int, *, is_first_life: bool) -> None:
        reading, writing = os.pipe()
        parent, line = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            os.close(line)
            os._exit(self._be_worker(index, is_first_life, writing, parent))
        os.close(writing)
        os.close(parent)
        self._children[pid] = _Child(index, pid, is_first_life, reading, line)

    # -- the worker -----------------------------------------------------------------------------

    def _be_worker(self, index: int, is_first_life: bool, writing: int, parent: int) -> int:
        """A worker's whole life. It must never return into the parent's code: see `_start`."""
        for sibling in self._children.values():
            os.close(sibling.messages)
            os.close(sibling.line)
        is_ready = False

        def ready() -> None:
            nonlocal is_ready
            is_ready = True
            _write(writing, _Told(None))

        code = 70
        try:
            # Signals stay blocked until `work` has its handlers: an early SIGTERM waits for them.
            code = self.work(Link(index, is_first_life, parent, ready))
        except JustStorageError as error:
            if is_ready:
                _log.exception("the worker failed")
            else:
                _write(writing, _Told(explain(error)))
            code = 1
        except BaseException:  # noqa: BLE001  what is above belongs to the parent
            _log.exception("the worker failed")
        finally:
            logging.shutdown()
            with contextlib.suppress(OSError):
                sys.stdout.flush()
                sys.stderr.flush()
        return code


def explain(error: JustStorageError) -> str:
    """The error's sentence, and the first words of a cause that is not one of ours: a bug's."""
    cause = error.__cause__
    if not isinstance(error, BackendError) or cause is None or isinstance(cause, JustStorageError):
        return error.detail
    return f"{error.detail}: {type(cause).__name__}: {' '.join(str(cause).split())[:300]}"


def _ended(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _write(descriptor: int, told: _Told) -> None:
    # A supervisor that is gone is noticed elsewhere. The pipe is empty: this does not block.
    with contextlib.suppress(BrokenPipeError):
        os.write(descriptor, msgspec.json.encode(told))
    os.close(descriptor)


def _read(descriptor: int) -> _Told | None:
    with open(descriptor, "rb") as pipe:
        text = pipe.read()
    return msgspec.json.decode(text, type=_Told) if text else None
