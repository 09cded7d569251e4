"""A store over a filesystem that fails, blocks and tells when a test says so."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from juststorage.domain import StorageClass
from juststorage.ports import Clock
from juststorage.testing import FakeClock, open_context
from juststorage_localfs._fsops import FsOps
from juststorage_localfs._opening import open_store
from juststorage_localfs._store import LocalFSBlobStore
from juststorage_localfs.plugin import LocalFSOptions

PRIMITIVES = (
    "open",
    "close",
    "write",
    "set_direct",
    "start_write_out",
    "fsync",
    "sync_volume",
    "rename",
    "link",
    "unlink",
    "mkdir",
    "rmdir",
    "stat",
    "fstat",
    "statvfs",
    "pread",
    "read_now",
)


class ScriptedOps(FsOps):
    """The real filesystem, with every call counted and written down.

    `log` has (call, path) for each call that was made; the path of an open file is the one that it
    was opened by. `fail_at` or `block_at` choose the n-th call from then on.
    """

    def __init__(self) -> None:
        self.log: list[tuple[str, str]] = []
        self.fired: tuple[str, str] | None = None
        self.reached = asyncio.Event()
        self._lock = threading.Lock()
        self._paths: dict[int, str] = {}
        self._countdown = 0
        self._act: Callable[[], None] | None = None
        self._release = threading.Event()

    def fail_at(self, number: int, error: int) -> None:
        """Let the `number`-th call from now raise this error."""

        def fail() -> None:
            raise OSError(error, os.strerror(error))

        self._arm(number, fail)

    def block_at(self, number: int) -> None:
        """Let the `number`-th call from now wait for `release`; `reached` says that it waits."""
        loop = asyncio.get_running_loop()
        self.reached, self._release = asyncio.Event(), threading.Event()
        reached, release = self.reached, self._release

        def block() -> None:
            loop.call_soon_threadsafe(reached.set)
            assert release.wait(30)

        self._arm(number, block)

    def release(self) -> None:
        """Let the blocked call go on."""
        self._release.set()

    def disarm(self) -> None:
        """Everything works again."""
        self._act = None

    def _arm(self, number: int, act: Callable[[], None]) -> None:
        self.log.clear()
        self.fired = None
        self._countdown = number
        self._act = act

    def before(self, name: str, args: tuple[Any, ...]) -> None:
        """Write the call down, and act if it is the chosen one."""
        with self._lock:
            what = args[0] if args else ""
            call = (name, self._paths.get(what, "") if isinstance(what, int) else str(what))
            self.log.append(call)
            act = self._act
            if act is None:
                return
            self._countdown -= 1
            if self._countdown != 0:
                return
            self.fired = call
            self._act = None
        act()

    def opened(self, fd: int, path: str) -> None:
        """Remember the path of a descriptor."""
        with self._lock:
            self._paths[fd] = path


def _scripted(name: str) -> Callable[..., Any]:
    real = getattr(FsOps, name)

    def call(self: ScriptedOps, *args: Any, **kwargs: Any) -> Any:
        if name == "close":
            try:
                self.before(name, args)
            finally:
                real(self, *args)  # as Linux: gone, whatever it says
            return None
        self.before(name, args)
        result = real(self, *args, **kwargs)
        if name == "open":
            self.opened(result, args[0])
        return result

    return call


for _name in PRIMITIVES:
    setattr(ScriptedOps, _name, _scripted(_name))


@asynccontextmanager
async def _opened(
    root: Path,
    *,
    ops: FsOps | None = None,
    clock: Clock | None = None,
    storage_class: StorageClass = StorageClass.HOT,
    **options: Any,
) -> AsyncIterator[LocalFSBlobStore]:
    made = LocalFSOptions(root=str(root), **{"create_root": True, **options})
    async with (
        open_context(f"blobs.{storage_class}", clock=clock, storage_class=storage_class) as context,
        open_store(made, context, ops=ops) as store,
    ):
        yield store


@pytest.fixture
def opened() -> Callable[..., AbstractAsyncContextManager[LocalFSBlobStore]]:
    """`opened(root, ops=..., clock=..., storage_class=..., **options)`: a store."""
    return _opened


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """JustStorage runs on asyncio."""
    return "asyncio"


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that moves when told."""
    return FakeClock()


@pytest.fixture
async def ops() -> ScriptedOps:
    """A filesystem that does what the test says."""
    return ScriptedOps()


@pytest.fixture
async def file_ops() -> ScriptedOps:
    """The same on a system that cannot sync a whole volume."""
    made = ScriptedOps()
    made.can_sync_volume = False
    return made


@pytest.fixture
def open_files() -> Callable[[], set[str]]:
    """The descriptors of files and directories that are open now, as `number:path`."""

    def list_them() -> set[str]:
        found = set()
        for entry in Path("/proc/self/fd").iterdir():
            try:
                kind, target = entry.stat().st_mode, str(entry.readlink())
            except OSError:
                continue  # the one that lists them
            if (stat.S_ISREG(kind) or stat.S_ISDIR(kind)) and not target.startswith("/proc/"):
                found.add(f"{entry.name}:{target}")
        return found

    return list_them
