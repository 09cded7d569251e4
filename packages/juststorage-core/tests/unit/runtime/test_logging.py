"""Lines of the log."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from juststorage.config import Log
from juststorage.plugins import Secret
from juststorage.runtime import Line, line_handler, log_fields, log_line, set_up_logging


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    """Puts the process's logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    yield
    for handler in root.handlers:
        handler.close()
    root.handlers = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def lines(format_: Any = "json", level: Any = "info") -> io.StringIO:
    """A stream that the log is sent to."""
    stream = io.StringIO()
    set_up_logging(Log(format=format_, level=level), stream)
    return stream


def test_json_line_has_the_documented_members() -> None:
    """Each line is an object of timestamp, level, target, message and fields."""
    stream = lines()
    logging.getLogger("juststorage.x").warning("a %s", "b", extra={"size_bytes": 3})
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "WARN",
        "target": "juststorage.x",
        "message": "a b",
        "fields": {"size_bytes": 3},
    }


@pytest.mark.parametrize(
    "target", ["_granian", "alembic.runtime.migration", "sqlalchemy.engine.Engine", "asyncio"]
)
def test_every_library_has_the_same_form(target: str) -> None:
    """What others log through the standard library is a line of ours."""
    stream = lines()
    logging.getLogger(target).warning("it says %d", 1)
    line = json.loads(stream.getvalue())
    assert (line["target"], line["level"], line["message"]) == (target, "WARN", "it says 1")


@pytest.mark.parametrize("format_", ["json", "text"])
async def test_fields_that_the_library_keeps_for_itself(format_: Any) -> None:
    """A field of any name: the standard library would refuse some."""
    stream = lines(format_)
    log_line(logging.getLogger("x"), "made", {"name": "n", "message": "m", "args": 1})
    for handler in logging.getLogger().handlers:
        handler.flush()
    assert "made" in stream.getvalue()
    if format_ == "json":
        assert json.loads(stream.getvalue())["fields"] == {"name": "n", "message": "m", "args": 1}
    else:
        assert "name='n'" in stream.getvalue()


def test_error_carries_its_traceback_in_the_same_line() -> None:
    """An exception is part of the line, never lines of its own."""
    stream = lines()
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("y").exception("failed")
    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert line["level"] == "ERROR"
    assert line["exception"].endswith("KeyError: 'x'")


def test_fields_of_the_context_are_in_every_line() -> None:
    """What the context carries, such as a request's id, is in each line; a line's own win."""
    stream = lines()
    token = log_fields.set({"request_id": "r1", "size": 0})
    logging.getLogger("y").info("one", extra={"size": 1})
    log_fields.reset(token)
    logging.getLogger("y").info("two")
    one, two = (json.loads(text)["fields"] for text in stream.getvalue().splitlines())
    assert one == {"request_id": "r1", "size": 1}
    assert two == {}


def test_whatever_is_logged_there_is_a_line() -> None:
    """Values that JSON cannot say are shown as text, and a secret not at all."""
    stream = lines()
    circle: dict[str, Any] = {}
    circle["self"] = circle
    for value in (object(), "\ud800", {1: 2}, Secret("hunter2"), circle, 2**200):
        logging.getLogger("y").info("odd", extra={"value": value})
    texts = stream.getvalue().splitlines()
    assert len(texts) == 6
    assert all(json.loads(text)["fields"]["value"] is not None for text in texts)
    assert "hunter2" not in stream.getvalue()


def test_text_is_for_people() -> None:
    """The text form has time, level, target, message and fields, with the traceback below."""
    stream = lines("text")
    try:
        raise KeyError("x")
    except KeyError:
        logging.getLogger("y").critical("failed", exc_info=True, extra={"part": "z"})
    first, *rest = stream.getvalue().splitlines()
    assert first.split(" ", 1)[1] == "ERROR y: failed part='z'"
    assert rest[-1] == "KeyError: 'x'"


@pytest.mark.parametrize(("terminal", "is_json"), [(True, False), (False, True)])
def test_auto_is_text_on_a_terminal(terminal: bool, is_json: bool) -> None:
    """`auto` is text for a terminal and JSON for everything else."""

    class Stream(io.StringIO):
        def isatty(self) -> bool:
            return terminal

    stream = Stream()
    set_up_logging(Log(), stream)
    logging.getLogger("y").info("x")
    assert stream.getvalue().startswith("{") is is_json


def test_level_is_the_least_that_is_shown() -> None:
    """Lines below the level are not written."""
    stream = lines(level="warning")
    logging.getLogger("y").info("no")
    logging.getLogger("y").warning("yes")
    assert [json.loads(text)["message"] for text in stream.getvalue().splitlines()] == ["yes"]


def test_warnings_become_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's warnings go through the log too: nothing else writes to the stream."""
    stream = lines()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        set_up_logging(Log(format="json"), stream)
        warnings.warn("old", stacklevel=1)
        logging.captureWarnings(False)
    assert json.loads(stream.getvalue())["target"] == "py.warnings"


class TestLineHandler:
    """The second way into the log, for lines that come with every request."""

    async def test_a_line_looks_like_a_record(self) -> None:
        """Both ways give the same form; nobody who reads the log can tell them apart."""
        stream = io.StringIO()
        set_up_logging(Log(format="json"), stream)
        logger = logging.getLogger("juststorage.access")
        logger.info("by record", extra={"status": 200})
        handler = line_handler(logger)
        assert handler is not None
        handler.line("juststorage.access", "by line", {"status": 201})
        handler.flush()
        record, line = map(json.loads, stream.getvalue().splitlines())
        assert list(record) == list(line)
        assert (line["level"], line["target"], line["fields"]) == (
            "INFO",
            "juststorage.access",
            {"status": 201},
        )
        assert len(line["timestamp"]) == len(record["timestamp"])

    async def test_lines_and_records_keep_their_order(self) -> None:
        """A record writes the lines that wait before it."""
        stream = io.StringIO()
        set_up_logging(Log(format="json"), stream)
        handler = line_handler(logging.getLogger("juststorage.access"))
        assert handler is not None
        handler.line("a", "first", {})
        handler.line("a", "second", {})
        logging.getLogger("b").warning("third")
        messages = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
        assert messages == ["first", "second", "third"]

    async def test_waiting_lines_are_written_soon(self) -> None:
        """Nobody needs to flush: the event loop does, for all lines since the last time."""
        written = anyio.Event()

        class Stream(io.StringIO):
            def write(self, text: str) -> int:
                written.set()
                return super().write(text)

        stream = Stream()
        set_up_logging(Log(format="json"), stream)
        handler = line_handler(logging.getLogger("juststorage.access"))
        assert handler is not None
        handler.line("a", "first", {})
        handler.line("a", "second", {})
        with anyio.fail_after(10):
            await written.wait()
        assert stream.getvalue().count("\n") == 2

    def test_a_terminal_has_none(self) -> None:
        """Text for people goes the ordinary way, and so does a logger with other handlers."""
        set_up_logging(Log(format="text"), io.StringIO())
        assert line_handler(logging.getLogger("juststorage.access")) is None
        set_up_logging(Log(format="json"), io.StringIO())
        logger = logging.getLogger("juststorage.elsewhere")
        logger.addHandler(logging.NullHandler())
        assert line_handler(logger) is None

    async def test_a_line_that_cannot_be_formed(self) -> None:
        """It leaves a line that says so, in its place, and the others are written."""

        def broken(stamp: str, facts: Any) -> Line:
            raise LookupError("secret words")

        def unsayable(stamp: str, facts: Any) -> Line:
            return Line(stamp, "INFO", "a", "\udc80", {})

        stream = io.StringIO()
        set_up_logging(Log(format="json"), stream)
        handler = line_handler(logging.getLogger("juststorage.access"))
        assert handler is not None
        handler.line("a", "first", {})
        handler.later(broken, None)
        handler.later(unsayable, None)
        handler.line("a", "last", {})
        handler.flush()
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        assert [line["message"] for line in lines] == [
            "first",
            "a line could not be written",
            "a line could not be written",
            "last",
        ]
        assert [line["fields"] for line in lines[1:3]] == [
            {"error": "LookupError"},
            {"error": "UnicodeEncodeError"},
        ]

    async def test_many_lines_do_not_wait_for_the_pause(self) -> None:
        """However many there are, few are written at once, in their order, and none is lost."""
        stream = io.StringIO()
        set_up_logging(Log(format="json"), stream)
        handler = line_handler(logging.getLogger("juststorage.access"))
        assert handler is not None
        for number in range(1000):
            handler.line("a", str(number), {})
        written = stream.getvalue().count("\n")
        assert 700 < written < 1000
        assert handler.waits
        handler.flush()
        messages = [json.loads(line)["message"] for line in stream.getvalue().splitlines()]
        assert messages == [str(number) for number in range(1000)]

    async def test_the_end_loses_nothing(self) -> None:
        """A handler that is replaced writes what waits in it."""
        stream = io.StringIO()
        set_up_logging(Log(format="json"), stream)
        handler = line_handler(logging.getLogger("juststorage.access"))
        assert handler is not None
        handler.line("a", "last words", {})
        set_up_logging(Log(format="json"), io.StringIO())
        assert json.loads(stream.getvalue())["message"] == "last words"
