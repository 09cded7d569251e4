"""The log of a process: every line of every library in one form, on standard error.

Standard library only: the server, SQLAlchemy and plugins log through it already, so a second
logging library would only format what this one has collected.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import msgspec

from juststorage.config import Log

__all__ = ["log_fields", "set_up_logging"]

NO_FIELDS: Final[Mapping[str, Any]] = {}

log_fields: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=NO_FIELDS)
"""Fields of every line that is logged in this context, such as the id of a request."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_LEVELS = {"WARNING": "WARN", "CRITICAL": "ERROR"}


def set_up_logging(log: Log, stream: TextIO | None = None) -> None:
    """Send everything that is logged in this process to one stream; the last call wins.

    Args:
        log: The level and the format.
        stream: None means standard error.
    """
    stream = sys.stderr if stream is None else stream
    text = log.format == "text" or (log.format == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TextFormatter() if text else JsonFormatter())
    logging.basicConfig(handlers=[handler], level=log.level.upper(), force=True)
    logging.captureWarnings(True)


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
    return {**log_fields.get(), **own}
