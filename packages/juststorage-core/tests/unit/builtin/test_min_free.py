"""Collection under pressure only."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.plugins.builtin import MIN_FREE, MinFreeOptions
from juststorage.ports import Decision, GarbageCandidate, Space
from juststorage.testing import make_content, open_backend

pytest_plugins = ["juststorage.testing.fixtures"]

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BLOB = Blob(
    key=BlobKey(make_content("x").content_hash, StorageClass.HOT),
    size_bytes=1,
    ref_count=0,
    locator="placed",
    stored_at=NOW,
    zero_since=NOW,
    claimed_until=None,
    first_seen_at=NOW,
    last_used_at=NOW,
)
SOME_BYTES, SOME_PERCENT = {"free_bytes": 300, "free_percent": 0}, {"free_percent": 20.0}


@pytest.mark.parametrize(
    ("options", "space", "freed_bytes", "decision"),
    [
        (SOME_BYTES, Space(1000, 300), 0, Decision.KEEP),
        (SOME_BYTES, Space(1000, 299), 0, Decision.COLLECT),
        (SOME_BYTES, Space(1000, 299), 1, Decision.KEEP),
        (SOME_BYTES, Space(1000, 0), 299, Decision.COLLECT),
        (SOME_PERCENT, Space(1000, 200), 0, Decision.KEEP),
        (SOME_PERCENT, Space(1000, 199), 0, Decision.COLLECT),
        ({**SOME_PERCENT, "free_bytes": 300}, Space(1000, 250), 0, Decision.COLLECT),
        ({**SOME_BYTES, "free_percent": 40}, Space(1000, 350), 0, Decision.COLLECT),
        ({"free_bytes": 0, "free_percent": 0}, Space(1000, 0), 0, Decision.KEEP),
        ({}, Space(1000, 100), 0, Decision.KEEP),
        ({}, Space(1000, 99), 0, Decision.COLLECT),
        ({}, None, 0, Decision.COLLECT),
    ],
)
async def test_garbage_goes_while_room_is_short(
    options: dict[str, float], space: Space | None, freed_bytes: int, decision: Decision
) -> None:
    """Until both bounds hold, with what the run has taken counted as free."""
    async with open_backend(MIN_FREE, msgspec.convert(options, MinFreeOptions)) as policy:
        assert policy.decide(GarbageCandidate(BLOB, space, freed_bytes), NOW) is decision


@pytest.mark.parametrize("table", [{"free_bytes": -1}, {"free_percent": 101}, {"free_ratio": 1}])
def test_options_have_bounds(table: dict[str, float]) -> None:
    """A negative size or a share above the whole is refused."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(table, MinFreeOptions)
