"""What an audit may do, and what it finds."""

from __future__ import annotations

from typing import Final

import msgspec

from juststorage.usecases._unknown import FEW_MAX

__all__ = ["AFFECTED_MAX", "Affected", "AuditLimits", "Finding"]

AFFECTED_MAX: Final = 10
"""Objects that a finding names; it counts all of them."""


class AuditLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How an audit goes about it.

    Args:
        deep: Read every stored blob and compare its hash with its name.
        deep_bytes_s: Bytes per second that a deep audit reads at most; 0 for no limit.
        repair: Mend what can be mended without removing bytes that a row names.
        staging_grace_s: Age from which staged bytes without a live upload are a finding.
        lease_grace_s: Time after the end of a lease from which a WRITING object is a finding.
        adopt_blobs_max: Blobs without a row that repair adopts; as for a collection.
    """

    deep: bool = False
    deep_bytes_s: int = 0
    repair: bool = False
    staging_grace_s: float = 3600.0
    lease_grace_s: float = 3600.0
    adopt_blobs_max: int = FEW_MAX


class Affected(msgspec.Struct, frozen=True, kw_only=True):
    """An object that a finding is about, as its owner knows it."""

    id: str
    tenant_id: str
    namespace: str
    key: str | None


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One breach of one invariant.

    Args:
        invariant: `I1` to `I7`, or `I12`; `restore` for one that has not ended.
        subject: What it is about: an object id, a blob, a locator, an upload id, a backup id.
        detail: What is wrong, in one sentence.
        repaired: Whether this audit mended it.
        affected: Objects that suffer from it, `AFFECTED_MAX` at most.
        affected_count: How many there are.
    """

    invariant: str
    subject: str
    detail: str
    repaired: bool = False
    affected: list[Affected] = []
    affected_count: int = 0
