"""A nursery: `juststorage` processes within milliseconds, by forking one that has imported all.

A start from nothing costs most of a second of processor time, and an experiment that kills ten
thousand times has no use for it. What is forked is the real command line with a real server in it;
only its imports are shared. The nursery is a process of its own without threads, which makes
forking sound; its children die with it.
"""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from tests.torture.last_words import LAST_WORDS, be_asked

__all__ = ["Child", "Nursery"]

_PR_SET_PDEATHSIG = 1
_LAST_WORDS_S: Final = 5.0
_PRELOADED = (
    "granian.server.embed",
    "uvloop",
    "asyncpg",
    "msgspec",
    "juststorage.cli",
    "juststorage.cli._fsck",
    "juststorage.cli._gc",
    "juststorage.runtime",
    "juststorage_api.application",
    "juststorage_api._serve._run",
    "juststorage_api._serve._command",
    "juststorage_api._client._import",
    "httpx2",
    "juststorage_localfs._opening",
    "juststorage_objectstore._opening",
    "juststorage_postgres._store",
    "juststorage_sqlite._store",
    "tests.torture.backends",
    # What they import only when they are used.
    "anyio._backends._asyncio",
    "anyio.streams.tls",
    "encodings.idna",
    "juststorage.plugins.builtin",
    "juststorage.plugins.memory",
    "juststorage_api.plugin",
    "juststorage_api._auth._api_key",
    "juststorage_api._auth._bootstrap",
    "juststorage_api._auth._last_used",
    "juststorage_objectstore.plugin",
    "litestar._kwargs",
    "litestar.exceptions.responses",
    "litestar.middleware._internal.exceptions",
    "litestar.middleware.allowed_hosts",
    "litestar.middleware.csrf",
    "litestar.middleware.response_cache",
    "zoneinfo",
)
_IF_INSTALLED = (
    "litestar.plugins.attrs",
    "litestar.plugins.opentelemetry._utils",
    "litestar.plugins.pydantic.plugins.init",
    "pydantic.v1",
)
"""What the framework imports at each start if it can: most of a second's processor time."""

_DISTRIBUTION = """\
Metadata-Version: 2.1
Name: juststorage-torture
Version: 0
Requires-Dist: juststorage-core>=0
"""
_ENTRY_POINTS = "[juststorage.plugins]\ntorture = tests.torture.backends\n"


class Child:
    """A process of a nursery."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.code: int | None = None
        self._ended = threading.Event()

    def end_with(self, code: int) -> None:
        """Called when it has ended: the exit code, or a signal's number below 0."""
        self.code = code
        self._ended.set()

    @property
    def is_running(self) -> bool:
        """Whether it has not ended."""
        return not self._ended.is_set()

    def send(self, signum: int) -> None:
        """Send a signal, if it still runs."""
        if self.is_running:
            try:
                os.kill(self.pid, signum)
            except ProcessLookupError:
                return

    def ends_within(self, seconds: float) -> bool:
        """Whether it has ended by then."""
        return self._ended.wait(seconds)

    def wait(self, seconds: float = 60) -> int:
        """Wait for its end; its code.

        Raises:
            AssertionError: It has not ended. Where it was is in its log.
        """
        if not self.ends_within(seconds):
            self.send(LAST_WORDS)
            self.ends_within(_LAST_WORDS_S)
            raise AssertionError(f"process {self.pid} has not ended after {seconds} s")
        assert self.code is not None
        return self.code

    def kill(self) -> int:
        """SIGKILL, and wait; its code, which is another if it was quicker."""
        self.send(signal.SIGKILL)
        return self.wait()

    def is_frozen(self) -> bool:
        """Whether it is stopped by a signal."""
        try:
            state = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state == "T"


class Nursery:
    """A context manager that leaves no process behind.

    Args:
        folder: For what it needs on the disk.
        environment: For all children, besides that of this process.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str] | None = None) -> None:
        installed = folder / "installed" / "juststorage_torture-0.dist-info"
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text(_DISTRIBUTION)
        (installed / "entry_points.txt").write_text(_ENTRY_POINTS)
        root = Path(__file__).parents[2]
        environment = {
            # Measuring coverage would make every child several times as slow.
            **{k: v for k, v in os.environ.items() if not k.startswith(("COV", "JUSTSTORAGE_"))},
            **(environment or {}),
            "PYTHONPATH": os.pathsep.join([str(installed.parent), str(root)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if "PYTHONPATH" in os.environ:  # mutated copies of the packages come first
            environment["PYTHONPATH"] += os.pathsep + os.environ["PYTHONPATH"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.nursery"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # Ctrl-C is for the experiment, which ends in order
            cwd=root,
        )
        self._children: dict[int, Child] = {}
        self._born: list[Child] = []
        self._lock = threading.Lock()
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read)

    def __enter__(self) -> Self:
        self._reader.start()
        return self

    def __exit__(self, *_: object) -> None:
        for child in list(self._children.values()):
            child.send(signal.SIGKILL)
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._reader.join()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def start(self, words: Sequence[str], log: Path) -> Child:
        """Start `juststorage WORDS`, its output going to the end of a file."""
        assert self._process.stdin is not None
        with self._lock:  # births are answered in order
            line = json.dumps({"words": list(words), "log": str(log)}) + "\n"
            self._process.stdin.write(line.encode())
            self._process.stdin.flush()
            with self._news:
                if not self._news.wait_for(lambda: bool(self._born), 30):
                    raise AssertionError("the nursery does not answer")
                return self._born.pop()

    def run(self, words: Sequence[str], log: Path) -> int:
        """Start it and wait for its end; its code."""
        return self.start(words, log).wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "born" in told:
                child = Child(told["born"])
                with self._news:
                    self._children[child.pid] = child
                    self._born.append(child)
                    self._news.notify()
            else:
                self._children.pop(told["dead"]).end_with(told["code"])


# -- the nursery itself ---------------------------------------------------------------------------


def _tell(**what: Any) -> None:
    os.write(1, json.dumps(what).encode() + b"\n")


def _be_child(words: Sequence[str], log: str, close: Sequence[int]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    for fd in close:
        os.close(fd)
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(out, 1)
    os.dup2(out, 2)
    from juststorage.cli import main
    from tests.torture.clock import put_clock

    put_clock()
    be_asked()
    if words[0] == "import":
        from tests.torture.pointed_client import put_points

        put_points()
    sys.argv = ["juststorage", *words]
    code = 70
    try:
        main()
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    except BaseException:  # noqa: BLE001 - what is above belongs to the nursery
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    import gc
    from importlib import import_module

    for name in _PRELOADED:
        import_module(name)
    for name in _IF_INSTALLED:
        with suppress(ImportError):
            import_module(name)
    gc.collect()
    gc.freeze()
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    pids: dict[int, int] = {}
    waiting = b""
    while True:
        for fd, _ in poll.poll():
            if fd != 0:
                pid = pids.pop(fd)
                poll.unregister(fd)
                os.close(fd)
                _, status = os.waitpid(pid, 0)
                _tell(dead=pid, code=os.waitstatus_to_exitcode(status))
                continue
            data = os.read(0, 1 << 16)
            if not data:
                return
            *lines, waiting = (waiting + data).split(b"\n")
            for line in lines:
                asked = json.loads(line)
                pid = os.fork()
                if pid == 0:
                    _be_child(asked["words"], asked["log"], list(pids))
                pidfd = os.pidfd_open(pid)
                pids[pidfd] = pid
                poll.register(pidfd, select.POLLIN)
                _tell(born=pid)


if __name__ == "__main__":
    _serve()
