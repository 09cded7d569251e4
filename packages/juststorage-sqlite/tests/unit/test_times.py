"""Times keep every microsecond."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from juststorage_sqlite._times import from_micros, micros, to_micros


@pytest.mark.parametrize(
    "time",
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(2026, 11, 25, 2, 29, 57, 123_457, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ],
)
def test_round_trip_is_exact(time: datetime) -> None:
    """A time comes back as it went in, to the microsecond, also far from now."""
    assert from_micros(to_micros(time)) == time


def test_zone_does_not_matter() -> None:
    """Two spellings of one instant are one number."""
    time = datetime(2026, 1, 1, 12, tzinfo=UTC)
    assert to_micros(time.astimezone(timezone(timedelta(hours=5)))) == to_micros(time)


def test_none_stays_none() -> None:
    """A time that is not there is not the epoch."""
    assert from_micros(None) is None


def test_durations_round_to_microseconds() -> None:
    """Seconds as floats do not lose a microsecond to truncation."""
    assert micros(0.000_001) == 1
    assert micros(1.1) == 1_100_000
    assert micros(0.0000009) == 1
