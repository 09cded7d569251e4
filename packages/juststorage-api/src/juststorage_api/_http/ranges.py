"""The Range header of RFC 9110, 14.2, for bytes."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from juststorage_api._http.problem import RangeNotSatisfiable

__all__ = ["RANGES_MAX", "Span", "parse_range"]

RANGES_MAX: Final = 16
"""Ranges of one answer, after those that overlap or touch were merged; an option lowers it."""

_SPECS_MAX: Final = 1024
"""Ranges of one header, before merging: it costs time to look at them."""

_SPEC: Final = re.compile(rb"(\d*)-(\d*)")
_DIGITS_MAX: Final = 18
_FAR: Final = 10**_DIGITS_MAX
"""Behind the end of everything: numbers are cut off here, because their digits have no limit."""


class Span(NamedTuple):
    """`length` bytes from `start`; never empty, always inside the content."""

    start: int
    length: int


def parse_range(header: bytes, size_bytes: int, ranges_max: int = RANGES_MAX) -> list[Span] | None:
    """The parts of content of `size_bytes` that a Range header asks for, merged.

    Returns:
        The spans in the order in which they were asked for (RFC 9110, 15.3.7.2), a merged one where
        its first part was; or None where the header is to be ignored: another unit, or malformed.

    Raises:
        RangeNotSatisfiable: None of the ranges has a byte, or there are too many.
    """
    unit, equals, listed = header.partition(b"=")
    if not equals or unit.lower() != b"bytes":
        return None
    specs = [spec for part in listed.split(b",") if (spec := part.strip(b" \t"))]
    if not specs:
        return None
    if len(specs) > _SPECS_MAX:
        raise RangeNotSatisfiable("there are too many ranges", size_bytes)
    spans: list[Span] = []
    for spec in specs:
        bounds = _bounds(spec, size_bytes)
        if bounds is None:
            return None
        start, end = bounds
        if start < end:
            spans.append(Span(start, end - start))
    if not spans:
        if size_bytes == 0 and any(spec.startswith(b"-") and _far(spec[1:]) for spec in specs):
            # The last n bytes of nothing are all of it; a 206 has no way to say so.
            return None
        raise RangeNotSatisfiable("the content ends before the range begins", size_bytes)
    merged = _merged(spans)
    if len(merged) > ranges_max:
        raise RangeNotSatisfiable(f"there are more than {ranges_max} ranges", size_bytes)
    return merged


def _bounds(spec: bytes, size_bytes: int) -> tuple[int, int] | None:
    """First byte, and the one behind the last; nothing between them where there is none."""
    match = _SPEC.fullmatch(spec)
    if match is None or spec == b"-":
        return None
    first, last = match[1], match[2]
    if not first:
        return max(0, size_bytes - _far(last)), size_bytes
    start = _far(first)
    if not last:
        return start, size_bytes
    end = _far(last)
    if end < start:
        return None
    return start, min(end + 1, size_bytes)


def _far(digits: bytes) -> int:
    significant = digits.lstrip(b"0")
    return int(significant or b"0") if len(significant) <= _DIGITS_MAX else _FAR


def _merged(spans: list[Span]) -> list[Span]:
    """The spans without overlaps; those that touch become one."""
    result: list[tuple[int, Span]] = []
    for span, rank in sorted((span, rank) for rank, span in enumerate(spans)):
        if result and span.start <= result[-1][1].start + result[-1][1].length:
            first, (start, length) = result[-1]
            longer = Span(start, max(length, span.start + span.length - start))
            result[-1] = min(first, rank), longer
        else:
            result.append((rank, span))
    return [span for _, span in sorted(result)]
