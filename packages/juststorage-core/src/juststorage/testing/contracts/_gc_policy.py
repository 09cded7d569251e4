"""GCPolicyContract: what every collection policy must do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any, ClassVar

import msgspec
import pytest

from juststorage.domain import Blob, BlobKey, StorageClass
from juststorage.errors import PluginError
from juststorage.plugins import GCPolicyBackend
from juststorage.ports import Decision, GarbageCandidate, GCPolicy, Space
from juststorage.testing._builders import make_content
from juststorage.testing.contracts._base import Contract

__all__ = ["GCPolicyContract"]

NOW = datetime(2026, 6, 1, tzinfo=UTC)


# The clock of a metadata store may be ahead of this process's.
_AGES = (
    timedelta(seconds=-1),
    timedelta(0),
    timedelta(seconds=1),
    timedelta(days=1),
    timedelta(days=20_000),
)
_WEEKS = timedelta(weeks=1040)


def _candidates() -> Iterator[GarbageCandidate]:
    """Garbage of every kind that a collector may come across; that of one kind by rising age."""
    spaces = (None, Space(0, 0), Space(10**12, 0), Space(10**12, 10**12), Space(10**12, 5 * 10**10))
    for space, size, stored, storage_class, age in product(
        spaces, (0, 1, 2**40), (True, False), StorageClass, _AGES
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


def _moved(candidate: GarbageCandidate, by: timedelta) -> GarbageCandidate:
    blob = candidate.blob
    times = ("stored_at", "zero_since", "first_seen_at", "last_used_at")
    moved = {name: at + by for name in times if (at := getattr(blob, name)) is not None}
    return msgspec.structs.replace(candidate, blob=msgspec.structs.replace(blob, **moved))


def _said(candidate: GarbageCandidate) -> str:
    """What a policy was asked, for whoever has to find out why it failed."""
    blob = candidate.blob
    since = NOW - (blob.zero_since or NOW)
    return (
        f"asked about {blob.size_bytes} bytes, garbage since {since.total_seconds():.0f} s,"
        f" {'stored' if blob.stored_at else 'not stored'}, on a volume with {candidate.space}"
    )


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
            try:
                decision = policy.decide(candidate, NOW)
            except PluginError as error:
                cause = error.__cause__
                what = f"`decide` raised {cause!r}" if cause else str(error)
                pytest.fail(f"{what}; {_said(candidate)}")
            assert isinstance(decision, Decision)

    async def test_decisions_are_pure(self, policy: GCPolicy) -> None:
        """The same question gets the same answer, in whatever order it is asked."""
        candidates = list(_candidates())
        first = [policy.decide(candidate, NOW) for candidate in candidates]
        again = [policy.decide(candidate, NOW) for candidate in reversed(candidates)][::-1]
        for candidate, one, other in zip(candidates, first, again, strict=True):
            assert one is other, (
                "asked again, in another order, `decide` gave another answer: it must remember"
                f" nothing, because a claim may be tried again; {_said(candidate)}"
            )

    async def test_the_time_is_what_it_is_told(self, policy: GCPolicy) -> None:
        """Moved by whole weeks together with everything of the candidate, `now` changes nothing."""
        for candidate in _candidates():
            decision = policy.decide(candidate, NOW)
            for by in (-_WEEKS, _WEEKS):
                assert policy.decide(_moved(candidate, by), NOW + by) is decision, (
                    "with all times moved, `decide` gave another answer: it must reckon from"
                    f" `now`, which is the metadata store's time; {_said(candidate)}"
                )

    async def test_what_is_collected_stays_so_with_age(self, policy: GCPolicy) -> None:
        """Garbage that goes at some age goes at every greater one: else its space never returns."""
        kinds = zip(*[iter(_candidates())] * len(_AGES), strict=True)
        for kind in kinds:
            decisions = [policy.decide(candidate, NOW) for candidate in kind]
            collected = False
            for candidate, decision in zip(kind, decisions, strict=True):
                assert decision is Decision.COLLECT or not collected, (
                    "kept, although younger garbage of its kind is collected: is a comparison the"
                    f" wrong way round? {_said(candidate)}"
                )
                collected = decision is Decision.COLLECT
