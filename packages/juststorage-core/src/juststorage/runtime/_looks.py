"""Looks that end in time, whatever they look at: each in a thread of its own.

A name that is looked up and a disk that is written to are waited for in threads that nothing cuts
off, and whoever closes a backend waits for them. So a look tells at once what it finds, and one
that has not ended in time is left to itself, with its event loop and all of its threads. Who has
left looks behind ends by `os._exit`: an orderly end waits for them, too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Literal

import anyio
import msgspec

from juststorage.errors import JustStorageError, Unavailable

__all__ = ["Checked", "Look", "all_in_time", "no_answer"]

GRACE_S: Final = 0.1
"""What a look that can be cut off may need to say so itself."""

_TO_DO: Final = "see that it runs and can be reached from here"

State = Literal["ok", "warning", "failed"]


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What a look at one thing found.

    Args:
        check: What was looked at.
        state: `warning` works for now; `failed` does not.
        found: One sentence.
        to_do: What to do about it; None where all is well.
    """

    check: str
    state: State
    found: str
    to_do: str | None = None


def no_answer(check: str, limit_s: float, to_do: str = _TO_DO) -> Checked:
    """What is said of a thing that does not answer."""
    found = f"no answer within {limit_s:.2g} s"
    return Checked(check=check, state="failed", found=found, to_do=to_do)


class Look:
    """A look at one thing, and at what can only be seen through it.

    Args:
        name: What of.
        run: Looks, and tells what it finds.
        quiet: What keeps it from an end is not told: whatever it looks at has a look of its own.
    """

    def __init__(
        self, name: str, run: Callable[[Look], Awaitable[None]], *, quiet: bool = False
    ) -> None:
        self.at = name
        """What it waits for at this moment."""
        self.quiet = quiet
        self.found: list[Checked] = []
        self.over = threading.Event()
        self._run = run

    def tell(self, *found: Checked) -> None:
        """Say what was found, as soon as it is."""
        self.found += found

    async def through(self, name: str, look: Callable[[], Awaitable[None]]) -> None:
        """Look at something else by the way: what is wrong with it is told under its own name."""
        before, self.at = self.at, name
        try:
            await look()
        except Exception as error:  # noqa: BLE001  a finding, like any other
            self.tell(_failed(name, error))
        # Not if it was cancelled: it is what did not answer.
        self.at = before

    def start(self, limit_s: float) -> None:
        """Begin, in a thread that keeps no process from ending."""
        threading.Thread(
            target=lambda: anyio.run(self._in_time, limit_s), name=f"look at {self.at}", daemon=True
        ).start()

    async def _in_time(self, limit_s: float) -> None:
        name = self.at
        try:
            with anyio.fail_after(limit_s):
                await self._run(self)
        except TimeoutError:
            self._give_up(no_answer(self.at, limit_s))
        except Exception as error:  # noqa: BLE001  a finding, like any other
            self._give_up(_failed(name, error))
        finally:
            # Before the event loop closes, which may wait for ever for a thread.
            self.over.set()

    def _give_up(self, problem: Checked) -> None:
        if not self.quiet:
            self.tell(problem)


def _failed(name: str, error: Exception) -> Checked:
    to_do = _TO_DO
    if isinstance(error, JustStorageError):
        detail = error.detail
        if not isinstance(error, Unavailable):
            to_do = "change what it says, and run this again"
    else:
        # A backend broke its contract: that is the finding.
        detail = f"could not be opened: {type(error).__name__}: {error}"
        to_do = "report this to the authors of the plugin"
    return Checked(check=name, state="failed", found=detail, to_do=to_do)


def all_in_time(looks: Sequence[Look], limit_s: float) -> list[Checked]:
    """Look at everything at once; in the order given, whatever came first.

    What is known by then is returned; of what does not end, that it does not.
    """
    for look in looks:
        look.start(limit_s)
    ends = time.monotonic() + limit_s + GRACE_S
    found: list[Checked] = []
    for look in looks:
        is_over = look.over.wait(max(0.0, ends - time.monotonic()))
        found += look.found
        if not is_over and not look.quiet:
            found.append(no_answer(look.at, limit_s))
    return found
