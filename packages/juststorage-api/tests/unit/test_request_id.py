"""The ids of a request: its own, and that of the caller's trace."""

from __future__ import annotations

from typing import Any

import pytest

from juststorage_api._request_id import RequestIds, add_trace

TRACE = b"4bf92f3577b34da6a3ce929d0e0e4736"


def test_a_trace_is_taken_over() -> None:
    """As W3C Trace Context has it; a version to come may say more."""
    for traceparent in (
        b"00-%b-00f067aa0ba902b7-01" % TRACE,
        b"01-%b-00f067aa0ba902b7-01-more" % TRACE,
    ):
        facts: dict[str, Any] = {}
        add_trace(facts, traceparent)
        assert facts == {"trace_id": TRACE.decode()}


@pytest.mark.parametrize(
    "traceparent",
    [
        b"",
        b"ff-%b-00f067aa0ba902b7-01" % TRACE,
        b"00-%b-00f067aa0ba902b7-01" % (b"0" * 32),
        b"00-%b-0000000000000000-01" % TRACE,
        b"00-%b-00f067aa0ba902b7-01" % TRACE.upper(),
        b"00-%b-01" % TRACE,
    ],
)
def test_what_is_no_trace_is_left_out(traceparent: bytes) -> None:
    """Nothing that a caller made up gets into the log under that name."""
    facts: dict[str, Any] = {}
    add_trace(facts, traceparent)
    assert facts == {}


def test_ids_of_requests() -> None:
    """The caller's where it is well formed, else one that nobody had before."""
    ids = RequestIds()
    assert ids.choose(b"well-formed.id_1") == b"well-formed.id_1"
    for offered in (None, b"short", b"with space in it", b"x" * 129):
        assert ids.choose(offered) != ids.choose(offered)
