"""Every process that a test starts is listened to, and nothing that one says is a secret.

A plugin of pytest, which the conftest.py of this repository loads. pytest itself captures what this
process says, and what others say that inherit its outputs. All else goes through here, whoever
reads it, and where nobody does: pipes, files, and what was meant for /dev/null. It fails the test
that is over when a secret is found; where a server outlives many, one in which the server said it.
"""

from __future__ import annotations

import io
import os
import re
import select
import stat
import subprocess
import tempfile
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from typing import IO, Any, Final, Protocol

import pytest

__all__ = ["secret_in"]

_SECRETS: Final = re.compile(
    # Keys that the service issues, tokens, passwords in database URLs, and the keys that tests
    # give to services.
    r"js_[0-9a-z]{12}_[\w-]{43}"
    r"|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{20,}"
    r"|the-key-of-these-tests-only"
    r"|k{32}"
    # Not the one that says what a URL looks like.
    r"|postgres(?:ql)?://(?!user:password@host)[^\s:/@]+:[^\s:/@]+@"
)
_SAID: Final = ("Captured log", "Captured stderr", "Captured stdout")
_PATHS: Final = re.compile(r"/v1/objects/by-key/[^\s\"]*")
"""What a client named its object is the client's business: a fuzzer takes what it has got."""

_TELLING: Final = re.compile(r"keys create|/v1/api-keys")
"""Commands whose standard output is there to tell a key, once, to whom it is for."""

_PIPE_BYTES: Final = 1 << 20
"""More than a pipe holds."""


def secret_in(text: str) -> str | None:
    """The first secret in what a process said; None where there is none."""
    found = _SECRETS.search(_PATHS.sub("", text))
    return found and found[0]


class _Output(Protocol):
    """What a process says in one place."""

    is_over: bool
    """Whether all that is ever said there was returned."""

    def heard(self) -> bytes:
        """What was said since it was asked last, and the line before where that had no end."""


class _Lines:
    """Bytes as they come; a line is kept until it has its end, or a secret might be cut in two."""

    def __init__(self) -> None:
        self._kept = b""
        self._new: deque[bytes] = deque()  # one thread adds to it while another takes

    def add(self, data: bytes) -> None:
        self._new.append(data)

    def take(self) -> bytes:
        """What came since, after the line before that had no end yet."""
        whole = self._kept
        while self._new:
            whole += self._new.popleft()
        self._kept = whole[whole.rfind(b"\n") + 1 :]
        return whole


class _Pipe(io.RawIOBase):
    """The reading end of a pipe: what is read from it, and at its end what nobody has read."""

    def __init__(self, raw: io.FileIO) -> None:
        super().__init__()
        self._raw = raw
        self._lines = _Lines()
        self.is_over = False

    def heard(self) -> bytes:
        self.is_over = self.closed
        return self._lines.take()

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def readinto(self, buffer: Any) -> int | None:
        length = self._raw.readinto(buffer)
        if length:
            self._lines.add(bytes(memoryview(buffer)[:length]))
        return length

    def close(self) -> None:
        if self.closed:
            return
        try:
            self._read_rest()
        finally:
            self._raw.close()
            super().close()

    def _read_rest(self) -> None:
        poll = select.poll()
        poll.register(self._raw, select.POLLIN)
        # Not to its end, which may be far: its process may live, and say more and more.
        for _ in range(_PIPE_BYTES // 65_536):
            if not poll.poll(0) or not (data := os.read(self.fileno(), 65_536)):
                return
            self._lines.add(data)

    def _dealloc_warn(self, source: object) -> None:
        # By this name Python asks the innermost stream to say that nobody has closed it.
        self._raw._dealloc_warn(source)  # type: ignore[attr-defined]


class _File:
    """A file that a process writes to, from where it begins to."""

    def __init__(self, process: subprocess.Popen[Any], file: int, offset: int) -> None:
        self._process = weakref.ref(process)
        self._file = file
        self._offset = offset
        self._lines = _Lines()
        self.is_over = False

    def heard(self) -> bytes:
        process = self._process()
        ended = process is None or process.returncode is not None
        while data := os.pread(self._file, 1 << 20, self._offset):
            self._offset += len(data)
            self._lines.add(data)
        if ended:
            os.close(self._file)
            self.is_over = True
        return self._lines.take()


_outputs: list[_Output] = []
_communicated: list[str] = []
"""What Popen.communicate returned: it reads from the pipes below the streams."""


def _listen(process: subprocess.Popen[Any], name: str) -> None:
    """To a pipe of a process that has just begun."""
    stream: Any = getattr(process, name)
    if stream is None:
        return
    text = {}
    if isinstance(stream, io.TextIOWrapper):
        text = {"encoding": stream.encoding, "errors": stream.errors}
        stream = stream.detach()
    buffered = not isinstance(stream, io.FileIO)
    pipe = _Pipe(stream.detach() if buffered else stream)
    _outputs.append(pipe)
    heard: IO[Any] = io.BufferedReader(pipe) if buffered else pipe  # type: ignore[assignment]
    setattr(process, name, io.TextIOWrapper(heard, **text) if text else heard)  # type: ignore[arg-type]


def _end_of(target: Any) -> int | None:
    """The size of the file that a process is to write to, bytes; None where it is no file."""
    if target is None:
        return None
    file = target if isinstance(target, int) else target.fileno()
    if file < 0:  # PIPE, STDOUT
        return None
    status = os.fstat(file)
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _follow(process: subprocess.Popen[Any], target: Any, offset: int) -> None:
    """Listen to what a process writes to a file."""
    file = target if isinstance(target, int) else target.fileno()
    # Not a copy of the descriptor, which would be of the process's position, too.
    _outputs.append(_File(process, os.open(f"/proc/self/fd/{file}", os.O_RDONLY), offset))


def pytest_configure(config: pytest.Config) -> None:
    """Listen to all processes from here on."""
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        return  # the tests run in other processes, and those are what this one starts
    begin, communicate = subprocess.Popen.__init__, subprocess.Popen.communicate

    def heard_from_its_beginning(
        process: subprocess.Popen[Any], args: Any, *more: Any, **options: Any
    ) -> None:
        names = [name for name in ("stdout", "stderr") if not _tells(args, name)]
        with ExitStack() as files:
            for name in names:
                if options.get(name) == subprocess.DEVNULL:
                    # It goes with the last that has it open.
                    options[name] = files.enter_context(tempfile.TemporaryFile())
            offsets = {name: _end_of(options.get(name)) for name in names}
            begin(process, args, *more, **options)
            for name, offset in offsets.items():
                _listen(process, name)
                if offset is not None:
                    _follow(process, options[name], offset)

    def heard(process: subprocess.Popen[Any], *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        said = communicate(process, *args, **kwargs)
        for name, text in zip(("stdout", "stderr"), said, strict=True):
            if text and not _tells(process.args, name):
                _communicated.append(text if isinstance(text, str) else text.decode("latin-1"))
        return said

    subprocess.Popen.__init__ = heard_from_its_beginning  # type: ignore
    subprocess.Popen.communicate = heard  # type: ignore


def _tells(args: Any, name: str) -> bool:
    words = " ".join(map(str, args)) if isinstance(args, (list, tuple)) else str(args)
    return name == "stdout" and _TELLING.search(words) is not None


def _heard() -> Iterator[str]:
    """What all processes said since this was asked last."""
    said, _communicated[:] = list(_communicated), []
    yield from said
    for output in list(_outputs):
        yield output.heard().decode("latin-1")
        if output.is_over:
            _outputs.remove(output)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Iterator[None]:
    """Look through what each test and its processes said, and fail it where that has a secret."""
    report: pytest.TestReport = yield  # type: ignore[misc,assignment]
    said = [(title, text) for title, text in report.sections if title.startswith(_SAID)]
    said += [("output of a process", text) for text in _heard()]
    for title, text in said:
        found = secret_in(text)
        if found is not None and report.passed:
            report.outcome = "failed"
            report.longrepr = f"{title}: it has a secret: {found[:8]}..."
    return report  # type: ignore[return-value]
