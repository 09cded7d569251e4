"""A look at everything that a service needs, for the operator; each finding says what to do.

Each backend is opened by itself and beside the others, so that one that hangs hides nothing; see
`_looks`. They are opened with `inspect`: no schema is brought up to date, and nothing that is away
is waited for.
"""

from __future__ import annotations

import logging
import resource
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any, Final, cast

from juststorage.config import Config
from juststorage.domain import StorageClass
from juststorage.errors import Misconfigured, StorageFull, UnsupportedOperation
from juststorage.plugins import OpenContext
from juststorage.plugins._host import PluginHost
from juststorage.ports import BlobStore, Clock, MetadataStore, Space
from juststorage.runtime._clock import SystemClock
from juststorage.runtime._data_dir import missing_data_dir, require_data_dir
from juststorage.runtime._looks import GRACE_S, Checked, Look, all_in_time
from juststorage.runtime._open import make_host
from juststorage.runtime._plan import Choice, Plan, make_plan, unknown_tables
from juststorage.usecases import unfinished_restore
from juststorage.usecases._unknown import read_sample, too_many, unknown_in

__all__ = [
    "ALL_S",
    "LOOK_S",
    "check_all",
    "check_known",
    "check_limits",
    "check_settings",
    "check_space",
]

ALL_S: Final = 2.5
"""For everything: 3 s with what the interpreter takes to start."""

LOOK_S: Final = 2.0
"""A part that has not answered within this counts as one that does not."""

_LOOK_S_MIN: Final = 1.0
"""What is left for a part at least, where it took long to get there."""

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


def check_all(
    config: Config,
    clock: Clock | None = None,
    *,
    began: float | None = None,
    at: Callable[[str], None] = lambda name: None,
) -> list[Checked]:
    """Everything there is to say of a configuration that could be read. Leaves looks behind.

    Args:
        config: Looked at as it is, and at what it selects.
        clock: None means the machine's.
        began: When `ALL_S` began, on the machine's monotonic clock; None means now.
        at: Told what it comes to next. Nothing is cut off but the backends, which are last: who
            cannot wait for the rest has to leave this behind.

    Raises:
        Misconfigured: The plugins cannot be loaded.
    """
    began = time.monotonic() if began is None else began
    at("plugins")
    host = make_host(config)
    found, plan = check_settings(config, host)
    if plan is not None:
        at("data_dir")
        nowhere = _check_data_dir(config)
        found += nowhere
        plan = None if nowhere else plan
    looks = [] if plan is None else _looks_at_backends(config, plan, clock or SystemClock())
    looks.append(Look("data_dir", partial(_look_at_data_dir, config)))
    at("backends")
    left_s = began + ALL_S - GRACE_S - time.monotonic()
    found += all_in_time(looks, min(LOOK_S, max(_LOOK_S_MIN, left_s)))
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


def _check_data_dir(config: Config) -> list[Checked]:
    try:
        require_data_dir(config)
    except Misconfigured as error:
        nowhere = Checked(
            check="data_dir",
            state="failed",
            found=error.detail,
            to_do="run that, or name the directory that was meant with --data-dir",
        )
        return [nowhere]
    return []


async def _look_at_data_dir(config: Config, look: Look) -> None:
    if config.data_dir.is_dir():
        room = shutil.disk_usage(config.data_dir)
        look.tell(check_space("data_dir", Space(total_bytes=room.total, free_bytes=room.free)))
    elif (missing := missing_data_dir(config)) is not None:
        look.tell(
            Checked(
                check="data_dir",
                state="warning",
                found=missing.removeprefix("data_dir: "),
                to_do="mount its volume, make it, or take the setting out",
            )
        )


def _looks_at_backends(config: Config, plan: Plan, clock: Clock) -> list[Look]:
    looks = [Look("metadata", partial(_look_at_metadata, config, plan, clock))]
    for storage_class, choice in plan.blobs.items():
        look = partial(_look_at_volume, config, choice, storage_class, clock)
        looks.append(Look(choice.instance, look))
        known = partial(_look_at_known, config, plan, storage_class, clock)
        looks.append(Look(f"{choice.instance}/known", known, quiet=True))
    return looks


async def _look_at_metadata(config: Config, plan: Plan, clock: Clock, look: Look) -> None:
    async with _opened(config, plan.metadata, clock) as opened:
        store = cast("MetadataStore", opened)
        await store.ping()
        answers = f"{plan.metadata.offer.name} answers, and its schema is that of this release"
        look.tell(Checked(check="metadata", state="ok", found=answers))
        if (half := await unfinished_restore(store.backups)) is not None:
            again = f"run `{config.command(half.command)}` again"
            look.tell(Checked(check="metadata", state="failed", found=half.found, to_do=again))
        try:
            await store.answers()
        except StorageFull as error:
            look.tell(
                Checked(
                    check="metadata/space", state="failed", found=error.detail, to_do=_MAKE_ROOM
                )
            )
        switch = await store.read_only()
        if switch is not None and switch.on:
            look.tell(
                Checked(
                    check="read-only mode",
                    state="warning",
                    found="it is on for every instance and collector: objects do not change",
                    to_do="once you know why, POST /v1/admin/read-only with"
                    ' {"read_only": false} to any instance',
                )
            )
        if (skew := await _skew(store, clock)) is not None:
            look.tell(_judged(skew))
        for choice in plan.authenticators:
            opens = partial(_look_at, config, choice, clock, store, look)
            await look.through(choice.instance, opens)


async def _look_at(
    config: Config, choice: Choice, clock: Clock, metadata: MetadataStore, look: Look
) -> None:
    async with _opened(config, choice, clock, metadata=metadata):
        look.tell(Checked(check=choice.instance, state="ok", found="opens"))


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


async def _look_at_volume(
    config: Config, choice: Choice, storage_class: StorageClass, clock: Clock, look: Look
) -> None:
    async with _opened(config, choice, clock, storage_class=storage_class) as opened:
        store = cast("BlobStore", opened)
        try:
            await store.ping()
        except StorageFull:
            look.tell(check_space(choice.instance, Space(total_bytes=0, free_bytes=0)))
            return
        works = f"{choice.offer.name} can be read and written"
        look.tell(Checked(check=choice.instance, state="ok", found=works))
        with suppress(UnsupportedOperation):
            if (space := await store.space()) is not None:
                look.tell(check_space(choice.instance, space))


async def _look_at_known(
    config: Config, plan: Plan, storage_class: StorageClass, clock: Clock, look: Look
) -> None:
    """Whether the database belongs to this store. What does not answer has its own finding."""
    choice = plan.blobs[storage_class]
    async with (
        _opened(config, plan.metadata, clock) as metadata,
        _opened(config, choice, clock, storage_class=storage_class) as store,
    ):
        sample = await read_sample(cast("BlobStore", store), None)
        unknown = await unknown_in(cast("MetadataStore", metadata), storage_class, sample)
        few = config.gc.adopt_blobs_max
        look.tell(*check_known(choice.instance, len(unknown), len(sample), few))


def check_known(name: str, unknown: int, looked_at: int, few: int) -> Iterator[Checked]:
    """What is known of the first contents of a store; nothing is said where it is empty."""
    check = f"{name}/known"
    if looked_at and (unknown == looked_at or too_many(unknown, looked_at, few)):
        yield Checked(
            check=check,
            state="warning",
            found=f"of the first {looked_at} contents the database does not know {unknown}",
            to_do="see that `metadata` names the database that belongs to this store. If it does,"
            " as after a restore, `juststorage gc run --adopt-unknown` gives them up",
        )
    elif looked_at:
        yield Checked(
            check=check,
            state="ok",
            found=f"of the first {looked_at} contents the database knows {looked_at - unknown}",
        )


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
        migrate=config.command("juststorage migrate up"),
        create=False,
        inspect=True,
        **more,
    )
    async with choice.offer.item.open(choice.options, context) as service:
        yield service


def _unneeded(name: str, run: Callable[[], Awaitable[None]], /) -> None:
    """Who only looks has no work beside the requests."""
