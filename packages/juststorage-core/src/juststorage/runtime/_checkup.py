"""A look at everything that a service needs, for the operator; each finding says what to do.

Each backend is opened by itself and beside the others, so that one that hangs hides nothing. They
are opened with `inspect`: no schema is brought up to date, and nothing that is away is waited for.
"""

from __future__ import annotations

import logging
import resource
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, Literal, cast

import anyio
import msgspec

from juststorage.config import Config
from juststorage.domain import StorageClass
from juststorage.errors import (
    JustStorageError,
    Misconfigured,
    StorageFull,
    Unavailable,
    UnsupportedOperation,
)
from juststorage.plugins import OpenContext
from juststorage.plugins._host import PluginHost
from juststorage.ports import BlobStore, Clock, MetadataStore, Space
from juststorage.runtime._clock import SystemClock
from juststorage.runtime._data_dir import require_data_dir
from juststorage.runtime._open import make_host
from juststorage.runtime._plan import Choice, Plan, make_plan, unknown_tables
from juststorage.usecases import unfinished_restore

__all__ = ["LOOK_S", "Checked", "check_all", "check_limits", "check_settings", "check_space"]

LOOK_S: Final = 2.0
"""A part that has not answered within this counts as one that does not."""

SKEW_TOLD_S: Final = 1.0
"""Clocks further apart than this are told of."""

SKEW_FAILED_S: Final = 60.0
"""Clocks further apart than this make keys and tokens expire at the wrong time."""

_FILES_FEW: Final = 4096
_FREE_FEW_RATIO: Final = 0.05
_MIB: Final = 2**20
_MAKE_ROOM: Final = (
    "make room, delete objects and run `juststorage gc run`, or take a larger volume"
)

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


async def check_all(config: Config, clock: Clock | None = None) -> list[Checked]:
    """Everything there is to say of a configuration that could be read, within about `LOOK_S`."""
    host = make_host(config)
    found, plan = check_settings(config, host)
    if plan is not None:
        found += await _check_backends(config, plan, clock or SystemClock())
    if config.data_dir.is_dir():
        room = shutil.disk_usage(config.data_dir)
        space = Space(total_bytes=room.total, free_bytes=room.free)
        found.append(check_space("data_dir", space))
    return found + list(check_limits(resource.getrlimit))


def check_settings(config: Config, host: PluginHost) -> tuple[list[Checked], Plan | None]:
    """The configuration and the plugins; the plan too, unless something is wrong with it."""
    found = [
        Checked(
            check="plugins",
            state="warning",
            found=warning,
            to_do="install a version that fits, or name the plugin in plugins.disabled",
        )
        for warning in host.warnings
    ]
    problems: list[str] = []
    plan: Plan | None = None
    try:
        host.require_sound()
        plan = make_plan(config, host)
    except Misconfigured as error:
        problems += error.problems
    problems += unknown_tables(config, host)
    if problems:
        return found + [configuration_problem(problem) for problem in problems], None
    assert plan is not None, "nothing was wrong with it"
    try:
        require_data_dir(config)
    except Misconfigured as error:
        nowhere = Checked(
            check="data_dir",
            state="failed",
            found=error.detail,
            to_do="run that, or name the directory that was meant with --data-dir",
        )
        return [*found, nowhere], None
    source = (
        "the embedded default" if config.embedded_default else str(config.file or "the environment")
    )
    return [Checked(check="configuration", state="ok", found=f"right: {source}"), *found], plan


def configuration_problem(problem: str) -> Checked:
    """A setting that is wrong; its sentence says how."""
    return Checked(
        check="configuration",
        state="failed",
        found=problem,
        to_do="change the setting; `juststorage config show` has what is in effect",
    )


async def _check_backends(config: Config, plan: Plan, clock: Clock) -> list[Checked]:
    looks: dict[str, Callable[[], Awaitable[list[Checked]]]] = {
        "metadata": lambda: _look_at_metadata(config, plan, clock)
    }
    for storage_class, choice in plan.blobs.items():
        looks[choice.instance] = _volume_look(config, choice, storage_class, clock)
    found: dict[str, list[Checked]] = {}

    async def look(name: str, at: Callable[[], Awaitable[list[Checked]]]) -> None:
        found[name] = await _in_time(name, at)

    async with anyio.create_task_group() as tasks:
        for name, at in looks.items():
            tasks.start_soon(look, name, at)
    return [each for name in looks for each in found[name]]


async def _in_time(name: str, look: Callable[[], Awaitable[list[Checked]]]) -> list[Checked]:
    to_do = "see that it runs and can be reached from here"
    try:
        with anyio.fail_after(LOOK_S):
            return await look()
    except TimeoutError:
        detail = f"no answer within {LOOK_S:g} s"
    except Unavailable as error:
        detail = error.detail
    except JustStorageError as error:
        detail, to_do = error.detail, "change what it says, and run this again"
    except Exception as error:  # noqa: BLE001  a backend broke its contract: that is the finding
        detail = f"could not be opened: {type(error).__name__}: {error}"
        to_do = "report this to the authors of the plugin"
    return [Checked(check=name, state="failed", found=detail, to_do=to_do)]


async def _look_at_metadata(config: Config, plan: Plan, clock: Clock) -> list[Checked]:
    async with _opened(config, plan.metadata, clock) as opened:
        store = cast("MetadataStore", opened)
        await store.ping()
        found = [
            Checked(
                check="metadata",
                state="ok",
                found=f"{plan.metadata.offer.name} answers, and its schema is that of this release",
            )
        ]
        if (half := await unfinished_restore(store.backups)) is not None:
            found.append(
                Checked(check="metadata", state="failed", found=half.found, to_do=half.to_do)
            )
        try:
            await store.answers()
        except StorageFull as error:
            found.append(
                Checked(
                    check="metadata/space", state="failed", found=error.detail, to_do=_MAKE_ROOM
                )
            )
        switch = await store.read_only()
        if switch is not None and switch.on:
            found.append(
                Checked(
                    check="read-only mode",
                    state="warning",
                    found="it is on for every instance and collector: objects do not change",
                    to_do="once you know why, POST /v1/admin/read-only with"
                    ' {"read_only": false} to any instance',
                )
            )
        if (skew := await _skew(store, clock)) is not None:
            found.append(_judged(skew))
        for choice in plan.authenticators:
            look = partial(_look_at, config, choice, clock, store)
            found += await _in_time(choice.instance, look)
    return found


async def _look_at(
    config: Config, choice: Choice, clock: Clock, metadata: MetadataStore
) -> list[Checked]:
    async with _opened(config, choice, clock, metadata=metadata):
        return [Checked(check=choice.instance, state="ok", found="opens")]


async def _skew(store: MetadataStore, clock: Clock) -> float | None:
    """Seconds that the store's clock is ahead of the host's; None where it has none."""
    began = clock.monotonic()
    theirs = await store.now()
    if theirs is None:
        return None
    # It was read at some moment of the question: half of its time is the best guess.
    return (theirs - clock.now()).total_seconds() + (clock.monotonic() - began) / 2


def _judged(skew_s: float) -> Checked:
    apart = f"{abs(skew_s):.3f} s {'ahead of' if skew_s > 0 else 'behind'} that of this host"
    if abs(skew_s) <= SKEW_TOLD_S:
        return Checked(check="clock", state="ok", found=f"the database's clock is {apart}")
    return Checked(
        check="clock",
        state="failed" if abs(skew_s) > SKEW_FAILED_S else "warning",
        found=f"the database's clock is {apart}",
        to_do="have both follow the same time servers (timedatectl, chronyc tracking):"
        " keys and tokens expire by one, objects are dated by the other",
    )


def _volume_look(
    config: Config, choice: Choice, storage_class: StorageClass, clock: Clock
) -> Callable[[], Awaitable[list[Checked]]]:
    async def look() -> list[Checked]:
        async with _opened(config, choice, clock, storage_class=storage_class) as opened:
            store = cast("BlobStore", opened)
            try:
                await store.ping()
            except StorageFull:
                return [check_space(choice.instance, Space(total_bytes=0, free_bytes=0))]
            found = [
                Checked(
                    check=choice.instance,
                    state="ok",
                    found=f"{choice.offer.name} can be read and written",
                )
            ]
            with suppress(UnsupportedOperation):
                if (space := await store.space()) is not None:
                    found.append(check_space(choice.instance, space))
            return found

    return look


def check_space(name: str, space: Space) -> Checked:
    """Room on a volume."""
    check = f"{name}/space"
    if space.free_bytes == 0:
        what = "nothing is free but the reserve: uploads are refused, the rest works"
        return Checked(check=check, state="failed", found=what, to_do=_MAKE_ROOM)
    ratio = space.free_bytes / space.total_bytes
    what = f"{space.free_bytes // _MIB} MiB free ({ratio:.0%})"
    if ratio < _FREE_FEW_RATIO:
        return Checked(check=check, state="warning", found=what, to_do=_MAKE_ROOM)
    return Checked(check=check, state="ok", found=what)


def check_limits(limit: Callable[[int], tuple[int, int]]) -> Iterator[Checked]:
    """What the operating system allows the processes of a service that is started as this one."""
    files = limit(resource.RLIMIT_NOFILE)[1]
    many = files == resource.RLIM_INFINITY
    if many or files >= _FILES_FEW:
        found = "any number at once" if many else f"{files} at once"
        yield Checked(check="open files", state="ok", found=found)
    else:
        yield Checked(
            check="open files",
            state="warning",
            found=f"{files} at once, good for {max(64, (files - 256) // 2)} connections a worker",
            to_do="allow 65536 where the service is started: LimitNOFILE= of systemd,"
            " --ulimit nofile= of a container, `ulimit -Hn` of a shell",
        )
    size = limit(resource.RLIMIT_FSIZE)[1]
    if size != resource.RLIM_INFINITY:
        yield Checked(
            check="file size",
            state="warning",
            found=f"files may have {size} bytes at most: larger uploads fail as if disks were full",
            to_do="lift it where the service is started: LimitFSIZE= of systemd, `ulimit -Hf`",
        )


@asynccontextmanager
async def _opened(config: Config, choice: Choice, clock: Clock, **more: Any) -> AsyncIterator[Any]:
    context = OpenContext(
        instance=choice.instance,
        clock=clock,
        logger=logging.getLogger(f"juststorage.{choice.instance}"),
        background=_unneeded,
        data_dir=config.data_dir.absolute(),
        create=False,
        inspect=True,
        **more,
    )
    async with choice.offer.item.open(choice.options, context) as service:
        yield service


def _unneeded(name: str, run: Callable[[], Awaitable[None]], /) -> None:
    """Who only looks has no work beside the requests."""
