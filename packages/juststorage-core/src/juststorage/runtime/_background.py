"""Background work of a service, supervised.

A plugin that held a task group of its own across its `yield` would, when the group's task crashed,
tear its service down while the server goes on answering. Here a crash is contained: it is logged
and counted, readiness fails, the work starts again after a pause that grows, and when it crashes
again and again the process is told to end.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from juststorage.ports import Clock

__all__ = ["CRASHES_MAX", "HEALTHY_S", "PAUSE_MAX_S", "Job", "Supervisor"]

CRASHES_MAX = 5
"""Crashes in a row that end the process."""

HEALTHY_S = 10.0
"""A run that lasts this long has recovered: it is ready again, and the row of crashes is over."""

PAUSE_MAX_S = 60.0
"""The longest pause before a restart; the first is 1 s and each is twice the one before."""


@dataclass(slots=True)
class Job:
    """One piece of background work."""

    name: str
    run: Callable[[], Awaitable[None]]
    crashes: int = 0
    """Since the service opened."""
    row: int = 0
    """Crashes in a row."""
    since: float | None = None
    """When the present run began, on the monotonic clock; None between runs."""
    trouble: str | None = None
    """What is wrong with it, without the error's own words: they may hold anything."""
    scope: anyio.CancelScope = field(default_factory=lambda: anyio.CancelScope(shield=True))
    over: anyio.Event = field(default_factory=anyio.Event)


class Supervisor:
    """Runs the background work of one instance. It is the `OpenContext.background` of a backend.

    Work that is asked for while the service opens starts when it is open, so that a failed opening
    leaves none behind.

    Args:
        instance: Such as `blobs.hot`; for log lines.
        tasks: Where the work runs. No exception of the work ever reaches it.
        on_fatal: Told, once for each job, that it is given up.
    """

    def __init__(
        self,
        instance: str,
        tasks: TaskGroup,
        clock: Clock,
        logger: logging.Logger,
        on_fatal: Callable[[str], None],
    ) -> None:
        self._instance = instance
        self._tasks = tasks
        self._clock = clock
        self._logger = logger
        self._on_fatal = on_fatal
        self._started = False
        self._stopped = False
        self.jobs: list[Job] = []

    def __call__(self, name: str, run: Callable[[], Awaitable[None]], /) -> None:
        """Take on a job. Once the service is closing it is dropped."""
        if self._stopped:
            return
        job = Job(name, run)
        self.jobs.append(job)
        if self._started:
            self._tasks.start_soon(self._supervise, job)

    def start(self) -> None:
        """Start what was asked for so far; from now on a job starts when it is asked for."""
        self._started = True
        for job in self.jobs:
            self._tasks.start_soon(self._supervise, job)

    async def stop(self) -> None:
        """Cancel all jobs and wait until they are over."""
        self._stopped = True
        if self._started:
            for job in self.jobs:
                job.scope.cancel()
            for job in self.jobs:
                await job.over.wait()

    def troubles(self) -> dict[str, str | None]:
        """Each job's name, and what is wrong with it or None."""
        return {job.name: self._trouble(job) for job in self.jobs}

    def _trouble(self, job: Job) -> str | None:
        if job.since is not None and self._clock.monotonic() - job.since >= HEALTHY_S:
            return None
        return job.trouble

    async def _supervise(self, job: Job) -> None:
        try:
            with job.scope:
                while await self._crashes(job):
                    await self._clock.sleep(min(2.0 ** (job.row - 1), PAUSE_MAX_S))
        finally:
            job.over.set()

    async def _crashes(self, job: Job) -> bool:
        """Run the job until it ends; whether it crashed and is to be started again."""
        job.since = began = self._clock.monotonic()
        try:
            await job.run()
        except Exception as error:
            lasted_s = self._clock.monotonic() - began
            job.crashes += 1
            job.row = 1 if lasted_s >= HEALTHY_S else job.row + 1
            job.trouble = f"crashed, {job.crashes} times since the start"
            self._logger.error(
                "background work crashed",
                extra={"instance": self._instance, "job": job.name, "crashes": job.crashes},
                exc_info=error,
            )
            if job.row < CRASHES_MAX:
                return True
            job.trouble = f"given up after {CRASHES_MAX} crashes in a row"
            self._on_fatal(f"{self._instance}: background work {job.name!r}: {job.trouble}")
            return False
        finally:
            job.since = None
        job.trouble = None
        return False
