"""The log of a process: every line of every library in one form, on standard error.

Standard library only: the server, SQLAlchemy and plugins log through it already, so a second
logging library would only format what this one has collected.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO, TypeAlias

import msgspec

from juststorage.config import Log

__all__ = [
    "Line",
    "LineForm",
    "LineHandler",
    "line_handler",
    "log_fields",
    "log_line",
    "logging_to_stderr",
    "make_handler",
    "set_up_logging",
]

NO_FIELDS: Final[Mapping[str, Any]] = {}

log_fields: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=NO_FIELDS)
"""Fields of every line that is logged in this context, such as the id of a request."""

_FLUSH_S: Final = 0.05
"""For how long a line may wait for others. What a killed process loses of its access log."""

_LINES_MAX: Final = 256
"""Lines that are written at once: some 2 us each, in which no request goes on."""

LineForm: TypeAlias = Callable[[str, Any], Any]
"""From a time, as lines have it, and facts to a `Line`."""

_WHOLE: Final = "juststorage_fields"
"""The attribute of a record that holds fields under whatever names they have."""

_encoder: Final = msgspec.json.Encoder(enc_hook=repr)

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", _WHOLE}
_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}


def set_up_logging(log: Log, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to one stream; the last call wins.

    Args:
        log: The level and the format.
        stream: None means standard error.
    """
    logging.basicConfig(handlers=[make_handler(log, stream)], level=log.level.upper(), force=True)
    logging.captureWarnings(True)


@contextmanager
def logging_to_stderr(log: Log) -> Iterator[None]:
    """As `set_up_logging` for the time of a command, whoever runs it in a process of theirs."""
    root = logging.getLogger()
    before = root.handlers, root.level
    handler = make_handler(log)
    root.handlers = [handler]
    root.setLevel(log.level.upper())
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        handler.flush()
        root.handlers = before[0]
        root.setLevel(before[1])


def make_handler(log: Log, stream: TextIO | None = None) -> logging.Handler:
    """What writes to a stream, None for standard error, in the format that is configured."""
    stream = sys.stderr if stream is None else stream
    text = log.format == "text" or (log.format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream) if text else LineHandler(stream)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    return handler


class LineHandler(logging.StreamHandler[TextIO]):
    """Writes JSON lines; a second way in, `line`, is for events that come with every request.

    A record of the standard library costs 30 us from the call to the stream, a fifth of a small
    request. `line` takes what the caller has, and leaves the writing to the next pause of the event
    loop, for all lines since the last one. `later` leaves the encoding to it, too: among requests
    each step of it finds the processor's caches cold, and costs several times what it costs where
    line follows line. Order is kept: a record that is emitted in between writes what waits before
    it.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._waiting: list[tuple[float, LineForm, Any]] = []
        self._second = (0, "")
        self._stamped = (0, "")

    @property
    def waits(self) -> bool:
        """Whether lines wait to be written."""
        return bool(self._waiting)

    def line(self, target: str, message: str, fields: Mapping[str, Any]) -> None:
        """Log one line of level INFO. Only on the thread of the running event loop."""
        line = Line(self._stamp(time.time()), "INFO", target, message, fields)
        self.later(_as_it_is, msgspec.Raw(_encoder.encode(line)))

    def later(self, form: LineForm, facts: Any) -> None:
        """Log one line that is formed when it is written. As `line` for the rest.

        Args:
            form: Makes a `Line` of its time and the facts.
            facts: Nobody changes them any more.
        """
        waiting = self._waiting
        waiting.append((time.time(), form, facts))
        if len(waiting) == 1:
            asyncio.get_running_loop().call_later(_FLUSH_S, self.flush)
        elif len(waiting) == _LINES_MAX:
            self.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, and what waits before it."""
        if self._waiting:
            self.flush()
        super().emit(record)

    def flush(self) -> None:
        """Write what waits."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            stamp = self._stamp
            try:
                lines = _encoder.encode_lines(
                    [form(stamp(at), facts) for at, form, facts in waiting]
                )
            except Exception:  # noqa: BLE001  one line must not take the others with it
                lines = b"".join([self._one(*each) for each in waiting])
            self.stream.write(lines.decode())
        super().flush()

    def close(self) -> None:
        """Write what waits, and be one no more."""
        if self._waiting:
            self.flush()
        super().close()

    def _one(self, at: float, form: LineForm, facts: Any) -> bytes:
        stamp = self._stamp(at)
        try:
            return _encoder.encode_lines([form(stamp, facts)])
        except Exception as error:  # noqa: BLE001  told in its place
            failed = {"error": type(error).__name__}
            return _encoder.encode_lines(
                [Line(stamp, "ERROR", __name__, "a line could not be written", failed)]
            )

    def _stamp(self, at: float) -> str:
        # Lines come in the order of their times, and under load several of a millisecond.
        since_1970_ms = int(at * 1000)
        if since_1970_ms != self._stamped[0]:
            second, ms = divmod(since_1970_ms, 1000)
            if second != self._second[0]:
                self._second = (second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second)))
            self._stamped = (since_1970_ms, f"{self._second[1]}.{ms:03}Z")
        return self._stamped[1]


class Line(msgspec.Struct, gc=False):
    """A line of the log; `fields` is whatever JSON takes for an object."""

    timestamp: str
    level: str
    target: str
    message: str
    fields: Any


def _as_it_is(stamp: str, line: Any) -> Any:
    return line


def line_handler(logger: logging.Logger) -> LineHandler | None:
    """The one handler of this logger's lines, if it is a `LineHandler` and the only one."""
    handlers: list[logging.Handler] = []
    current: logging.Logger | None = logger
    while current is not None:
        handlers += current.handlers
        current = current.parent if current.propagate else None
    [handler] = handlers if len(handlers) == 1 else [None]
    return handler if isinstance(handler, LineHandler) else None


def log_line(logger: logging.Logger, message: str, fields: Mapping[str, Any]) -> None:
    """Log one line of level INFO that comes with every request, in the cheapest way there is.

    Only on the thread of the running event loop. The caller has asked whether it is wanted, and
    gives all of its fields: those of the context may be added or not. A field may have any name,
    also those that the standard library keeps for itself.
    """
    handler = line_handler(logger)
    if handler is not None:
        handler.line(logger.name, message, fields)
        return
    # Not logger.info: it walks the stack for a file and a line that nobody asks for.
    record = logger.makeRecord(
        logger.name, logging.INFO, "", 0, message, (), None, extra={_WHOLE: fields}
    )
    logger.handle(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: timestamp, level, target, message, fields, and a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The line. Whatever was logged, there is one: what JSON cannot say is shown as text."""
        line: dict[str, Any] = {
            "timestamp": _time(record).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": _LEVELS.get(record.levelname, record.levelname),
            "target": record.name,
            "message": record.getMessage(),
            "fields": _fields(record),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return msgspec.json.encode(line, enc_hook=repr).decode()
        except (TypeError, ValueError, RecursionError):
            line["fields"] = {str(name): repr(value) for name, value in line["fields"].items()}
            return json.dumps(line)


class TextFormatter(logging.Formatter):
    """For a person at a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback below it."""
        fields = "".join(f" {name}={value!r}" for name, value in _fields(record).items())
        level = _LEVELS.get(record.levelname, record.levelname)
        time = _time(record).astimezone().strftime("%H:%M:%S")
        text = f"{time} {level:<5} {record.name}: {record.getMessage()}{fields}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


def _time(record: logging.LogRecord) -> datetime:
    return datetime.fromtimestamp(record.created, UTC)


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    own = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    return {**log_fields.get(), **own, **getattr(record, _WHOLE, NO_FIELDS)}
