"""Collection by age, and by need."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.plugins.builtin import AGE, AgeOptions
from juststorage.ports import Decision, GarbageCandidate, Space
from juststorage.testing import make_content, open_backend

pytest_plugins = ["juststorage.testing.fixtures"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ROOMY, TIGHT = Space(1000, 500), Space(1000, 499)


def candidate(age_s: float, space: Space | None) -> GarbageCandidate:
    """Garbage of that age."""
    since = NOW - timedelta(seconds=age_s)
    blob = Blob(
        key=BlobKey(make_content("x").content_hash, StorageClass.HOT),
        size_bytes=1,
        ref_count=0,
        locator="placed",
        stored_at=since,
        zero_since=since,
        claimed_until=None,
        first_seen_at=since,
        last_used_at=since,
    )
    return GarbageCandidate(blob, space)


@pytest.mark.parametrize(
    ("age_s", "space", "decision"),
    [
        (99, None, Decision.KEEP),
        (99, ROOMY, Decision.KEEP),
        (99, TIGHT, Decision.COLLECT),
        (99, Space(0, 0), Decision.KEEP),
        (100, None, Decision.COLLECT),
        (100, ROOMY, Decision.COLLECT),
        (-5, ROOMY, Decision.KEEP),
    ],
)
async def test_young_garbage_waits_while_there_is_room(
    age_s: float, space: Space | None, decision: Decision
) -> None:
    """It goes when it is old enough, or as soon as less than the wanted share is free."""
    options = AgeOptions(keep_s=100, free_ratio_min=0.5)
    async with open_backend(AGE, options) as policy:
        assert policy.decide(candidate(age_s, space), NOW) is decision


async def test_by_default_the_grace_is_enough() -> None:
    """Nothing is kept beyond it."""
    async with open_backend(AGE) as policy:
        assert policy.decide(candidate(0, ROOMY), NOW) is Decision.COLLECT


@pytest.mark.parametrize("table", [{"keep_s": -1}, {"free_ratio_min": 1.1}, {"keep": 1}])
def test_options_have_bounds(table: dict[str, float]) -> None:
    """A negative time or a share above one is refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, AgeOptions)
