"""HTTP dates (RFC 9110, 5.6.7): written in one format, read in three."""

from __future__ import annotations

import re
from calendar import timegm
from datetime import datetime
from email.utils import formatdate
from functools import lru_cache
from typing import Final

__all__ = ["format_date", "parse_date"]

_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_TIME = rb"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_FORMS: Final = tuple(
    re.compile(form)
    for form in (
        rb"[A-Z][a-z]{2}, (?P<day>\d\d) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) "
        + _TIME
        + rb" GMT",
        rb"[A-Z][a-z]{5,8}, (?P<day>\d\d)-(?P<month>[A-Z][a-z]{2})-(?P<year>\d\d) "
        + _TIME
        + rb" GMT",
        rb"[A-Z][a-z]{2} (?P<month>[A-Z][a-z]{2}) (?P<day>[ \d]\d) " + _TIME + rb" (?P<year>\d{4})",
    )
)


@lru_cache(maxsize=4096)
def format_date(seconds: int) -> bytes:
    """Seconds since 1970 as `Sun, 06 Nov 1994 08:49:37 GMT`."""
    return formatdate(seconds, usegmt=True).encode()


def parse_date(text: bytes) -> int | None:
    """An HTTP date as seconds since 1970; None where it is not one, which means: ignore it."""
    for form in _FORMS:
        match = form.fullmatch(text)
        if match is not None:
            break
    else:
        return None
    month = _MONTHS.get(match["month"])
    year = int(match["year"])
    if month is None:
        return None
    if len(match["year"]) == 2:
        # A year of two digits is of this century unless that is over 50 years ahead.
        year += 2000 if year < 70 else 1900
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    try:
        # 23:59:60 is a valid time and no datetime.
        when = datetime(year, month, int(match["day"]), hour, minute, min(second, 59))
    except ValueError:
        return None
    return timegm(when.timetuple())
