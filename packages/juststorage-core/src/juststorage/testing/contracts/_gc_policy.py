"""GCPolicyContract: what every collection policy must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, ClassVar

import msgspec
import pytest

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.plugins import GCPolicyBackend
from juststorage.ports import Decision, GarbageCandidate, GCPolicy, Space
from juststorage.testing._builders import make_content
from juststorage.testing.contracts._base import Contract

__all__ = ["GCPolicyContract"]

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def _candidates() -> Iterator[GarbageCandidate]:
    """Garbage of every kind that a collector may come across."""
    spaces = (None, Space(0, 0), Space(10**12, 0), Space(10**12, 10**12), Space(10**12, 5 * 10**10))
    ages = (timedelta(0), timedelta(seconds=1), timedelta(days=1), timedelta(days=20_000))
    for space, age, size, stored, storage_class in product(
        spaces, ages, (0, 1, 2**40), (True, False), StorageClass
    ):
        blob = Blob(
            key=BlobKey(make_content("garbage").content_hash, storage_class),
            size_bytes=size,
            ref_count=0,
            locator="placed" if stored else None,
            stored_at=NOW - age if stored else None,
            zero_since=NOW - age,
            claimed_until=None,
            first_seen_at=NOW - age,
            last_used_at=NOW - age if stored else None,
        )
        yield GarbageCandidate(blob, space)


class GCPolicyContract(Contract):
    """The contract of `GCPolicy`."""

    backend: ClassVar[GCPolicyBackend[Any]]

    @pytest.fixture
    async def policy(self, options: msgspec.Struct) -> AsyncIterator[GCPolicy]:
        """The policy under test."""
        async with self.opened(options) as policy:
            assert isinstance(policy, GCPolicy)
            yield policy

    async def test_every_candidate_gets_a_decision(self, policy: GCPolicy) -> None:
        """Whatever its age and size, on a volume that is full, empty or unknown."""
        for candidate in _candidates():
            assert isinstance(policy.decide(candidate, NOW), Decision)

    async def test_decisions_are_pure(self, policy: GCPolicy) -> None:
        """The same question gets the same answer, in whatever order it is asked."""
        candidates = list(_candidates())
        first = [policy.decide(candidate, NOW) for candidate in candidates]
        again = [policy.decide(candidate, NOW) for candidate in reversed(candidates)]
        assert again[::-1] == first
