"""A PostgreSQL server of our own: made in a temporary directory, gone without a trace.

`initdb` and `postgres` refuse to run as root, for which there is no switch; when this process is
root, they run as another user. The server listens on a Unix socket only: no port, no conflict.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Literal

__all__ = ["LocalServer", "local_server"]

StopMode = Literal["smart", "fast", "immediate"]

_SIGNALS: Final = {
    "smart": signal.SIGTERM,
    "fast": signal.SIGINT,
    "immediate": signal.SIGQUIT,
}
_PREFIX: Final = "juststorage-pg-"
_LOCK: Final = "owner.lock"
_READY_S: Final = 30.0
_POLL_S: Final = 0.01
_PR_SET_PDEATHSIG: Final = 1
_SOCKET_PATH_MAX: Final = 60
"""A socket's path has 107 bytes at most; beyond this the system's temporary directory is no use."""

_SETTINGS: Final = {
    "listen_addresses": "",
    "fsync": "on",
    "max_connections": "60",
    "shared_buffers": "64MB",
    "timezone": "UTC",
}

# Roles in this group must have a password, for tests of wrong ones; nobody else needs any.
_HBA: Final = """\
local all +needs_password scram-sha-256
local all all trust
local replication all trust
"""


class LocalServer:
    """A server that a test may stop and start.

    Args:
        binaries: Where `initdb` and `postgres` are.
        root: An empty directory that is the server's from now on.
    """

    def __init__(self, binaries: Path, root: Path) -> None:
        self.binaries = binaries
        self.root = root
        self._data = root / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._as_user = _unprivileged(root)

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        """The URL of one of its databases."""
        return f"postgresql://{user}@/{database}?host={self.root}"

    def initialize(self) -> None:
        """Make the data directory."""
        self._run(
            "initdb",
            *("--pgdata", self._data, "--username", "postgres", "--auth", "trust"),
            *("--encoding", "UTF8", "--no-locale", "--no-sync", "--no-instructions"),
        )
        (self._data / "pg_hba.conf").write_text(_HBA)

    def replicate(self, primary: LocalServer) -> None:
        """Make the data directory that of a read-only replica, which follows a server that runs."""
        self._run(
            "pg_basebackup",
            *("--pgdata", self._data, "--host", primary.root, "--username", "postgres"),
            *("--write-recovery-conf", "--checkpoint", "fast", "--no-sync"),
        )

    def _run(self, program: str, *arguments: str | Path) -> None:
        ran = subprocess.run(  # noqa: S603 - a program of a server that we found
            [self.binaries / program, *arguments],
            check=False,
            capture_output=True,
            **self._as_user,
        )
        if ran.returncode:
            raise RuntimeError(f"{program} failed: {ran.stderr.decode(errors='replace')}")

    def start(self, **settings: str) -> None:
        """Start it and wait until it answers. `settings` are those of postgresql.conf."""
        assert self._process is None, "it runs already"
        options = [
            word
            for name, value in {**_SETTINGS, **settings}.items()
            for word in ("-c", f"{name}={value}")
        ]
        self._process = self.spawn(
            self.binaries / "postgres", "-D", self._data, "-k", self.root, *options
        )
        self._wait_until_ready(self._process)

    def spawn(self, *command: str | Path) -> subprocess.Popen[bytes]:
        """Start a program as the server's user. It ends with this process, if not before."""
        with (self.root / "log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - a program that we found
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Its own session: an interrupt at the terminal is pytest's, and stops it in order.
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - no threads hold locks that it needs
                **self._as_user,
            )

    def make_directory(self, name: str) -> Path:
        """Make a directory that the server's user may write to; it goes with the server."""
        path = self.root / name
        path.mkdir()
        owner = self.root.stat()
        os.chown(path, owner.st_uid, owner.st_gid)
        return path

    def write(self, path: Path, content: bytes) -> None:
        """Write a file that the server's user alone can read, as it wants its keys."""
        path.touch()
        path.chmod(0o600)
        path.write_bytes(content)
        owner = self.root.stat()
        os.chown(path, owner.st_uid, owner.st_gid)

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        until = time.monotonic() + _READY_S
        while time.monotonic() < until and process.poll() is None:
            with contextlib.suppress(OSError):
                # The last line, which tells the state, as pg_ctl reads it.
                state = (self._data / "postmaster.pid").read_text().splitlines()[7:8]
                if state and state[0].strip() == "ready":
                    return
            time.sleep(_POLL_S)
        self.stop("immediate")
        raise RuntimeError(f"postgres did not start: {self.log()}")

    def stop(self, mode: StopMode = "fast") -> None:
        """Stop it and wait for its end. `immediate` is what a crash of the machine looks like."""
        if self._process is None:
            return
        process, self._process = self._process, None
        if process.poll() is None:
            process.send_signal(_SIGNALS[mode])
            process.wait(_READY_S)

    def is_running(self) -> bool:
        """Whether it was started, and not stopped since."""
        return self._process is not None

    def pause(self) -> None:
        """Freeze the postmaster: connections are accepted by the system, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw it."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def log(self) -> str:
        """The end of what it has written."""
        return (self.root / "log").read_text(errors="replace")[-4000:]


def _unprivileged(root: Path) -> dict[str, Any]:
    """Arguments that make `subprocess` run a server's programs as someone who may."""
    arguments: dict[str, Any] = {"cwd": root, "env": {**os.environ, "LC_ALL": "C"}}
    if os.geteuid() != 0:
        return arguments
    for name in ("postgres", "pgserver", "nobody"):
        with contextlib.suppress(KeyError):
            user = pwd.getpwnam(name)
            os.chown(root, user.pw_uid, user.pw_gid)
            return arguments | {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    raise RuntimeError("PostgreSQL does not run as root, and there is no other user to run it as")


def _die_with_parent() -> None:
    """Have the kernel stop the server when this process is killed and can no longer do so."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)


@contextlib.contextmanager
def local_server(binaries: Path, *, replica_of: LocalServer | None = None) -> Iterator[LocalServer]:
    """A server that runs, for as long as the block lasts."""
    is_short = len(tempfile.gettempdir()) < _SOCKET_PATH_MAX
    parent = Path(tempfile.gettempdir() if is_short else "/tmp")  # noqa: S108 - mkdtemp is safe
    _remove_abandoned(parent)
    root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    with (root / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = LocalServer(binaries, root)
        try:
            if replica_of is None:
                server.initialize()
            else:
                server.replicate(replica_of)
            server.start()
            yield server
        finally:
            server.stop("immediate")
            shutil.rmtree(root)


def _remove_abandoned(parent: Path) -> None:
    """Remove what runs left behind that were killed; the kernel has stopped their servers."""
    for root in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError), (root / _LOCK).open() as lock:
            # Its owner holds the lock as long as it lives.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(root)
