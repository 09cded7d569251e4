"""What the state machines share: settings, and calls from Hypothesis' thread into the loop's."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, TypeVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

__all__ = ["Machine", "run_machine"]

ResultT = TypeVar("ResultT")
ServiceT = TypeVar("ServiceT")


class Machine(RuleBasedStateMachine):
    """A state machine whose service runs on an event loop elsewhere.

    Hypothesis is sync, and a backend must live in one task from open to close. So the backend is
    open once in a thread with a loop, each step calls into it, and each example ends by emptying it
    through the port alone.
    """

    def __init__(self, portal: BlockingPortal) -> None:
        super().__init__()
        self._portal = portal

    def run(self, call: Callable[[], Coroutine[Any, Any, ResultT]]) -> ResultT:
        """Run one call on the service's loop."""
        result: ResultT = self._portal.call(call)
        return result


@contextmanager
def _opened(
    opened: AbstractAsyncContextManager[ServiceT],
) -> Iterator[tuple[BlockingPortal, ServiceT]]:
    with (
        start_blocking_portal("asyncio") as portal,
        portal.wrap_async_context_manager(opened) as service,
    ):
        yield portal, service


def run_machine(
    machine: Callable[[BlockingPortal, ServiceT], Machine],
    opened: AbstractAsyncContextManager[ServiceT],
    *,
    examples: int,
    steps: int,
) -> None:
    """Run a machine over a fresh service, the same examples every time where CI is set."""
    in_ci = bool(os.environ.get("CI"))
    bounds = settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=in_ci,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    with _opened(opened) as (portal, service):
        # Typed for a class, documented for anything that makes one.
        make: Any = lambda: machine(portal, service)  # noqa: E731
        run_state_machine_as_test(make, settings=bounds)
