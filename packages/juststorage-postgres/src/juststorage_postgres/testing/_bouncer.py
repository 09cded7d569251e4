"""PgBouncer in transaction mode, in front of a server of our own.

Unlike a server, it comes from Debian's package alone: there is no wheel of it. Where it is missing,
its tests are skipped (`do_without`), and pytest's header says so.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from juststorage.testing import do_without
from juststorage_postgres.testing._server import LocalServer

__all__ = ["bouncer_source", "running_pgbouncer"]

_PROGRAM: Final = "pgbouncer"
_MISSING: Final = "pgbouncer is not installed: install the Debian package of that name"
_READY_S: Final = 10.0
_PORT: Final = 6432

_CONFIG: Final = """\
[databases]
* = host={server} user=postgres

[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {root}
auth_type = any
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 500
logfile = {root}/log
"""


def _program() -> str | None:
    # /usr/sbin, where Debian puts it, is on the path of administrators only.
    return shutil.which(_PROGRAM) or shutil.which(_PROGRAM, path="/usr/sbin:/usr/local/sbin")


def bouncer_source() -> str:
    """Which PgBouncer tests will run on, or that they will not."""
    return _program() or f"TESTS ARE SKIPPED: {_MISSING}"


@contextmanager
def running_pgbouncer(server: LocalServer, *, pool_size: int) -> Iterator[Path]:
    """The directory of its socket, for as long as the block lasts. Skips or fails: see above.

    Args:
        server: Where it leads to.
        pool_size: Connections to the server for each database, at most.
    """
    program = _program()
    if program is None:
        do_without(_PROGRAM, _MISSING)
    # Below the server's directory, which goes with everything in it, however the run ends.
    root = server.make_directory("pgbouncer")
    config = root / "pgbouncer.ini"
    config.write_text(
        _CONFIG.format(server=server.root, root=root, port=_PORT, pool_size=pool_size)
    )
    process = server.spawn(program, config)
    try:
        _wait_until_ready(root / f".s.PGSQL.{_PORT}", process)
        yield root
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_READY_S)
        shutil.rmtree(root)


def _wait_until_ready(path: Path, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _READY_S
    while True:
        with socket.socket(socket.AF_UNIX) as client:
            if client.connect_ex(str(path)) == 0:
                return
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"pgbouncer did not start: {(path.parent / 'log').read_text()}")
        time.sleep(0.01)
