"""What core asks of the world, as abstract classes with their contracts in words.

A plugin implements them; `juststorage.testing` has a contract test for each.
"""

from juststorage.ports._api_keys import ApiKeyChange, ApiKeyRepository
from juststorage.ports._audit import (
    AUDIT_NOBODY,
    Actor,
    AuditEvent,
    AuditRepository,
    acting,
)
from juststorage.ports._authenticator import Authenticator, Credentials
from juststorage.ports._backups import (
    BackupRepository,
    Hold,
    Record,
    SavedAnswer,
    SavedBlob,
    Snapshot,
)
from juststorage.ports._blob_store import (
    BlobReader,
    BlobStore,
    PlacedBlob,
    Space,
    StagedEntry,
    TrashedBlob,
)
from juststorage.ports._blobs import BlobRepository, CountDrift, Removal
from juststorage.ports._clock import Clock
from juststorage.ports._gc_policy import Decision, GarbageCandidate, GCPolicy
from juststorage.ports._hasher import Hasher, HashState
from juststorage.ports._idempotency import (
    IdempotencyRecord,
    IdempotencyRepository,
    decode_answer,
    encode_answer,
)
from juststorage.ports._metadata_store import MetadataStore
from juststorage.ports._objects import (
    Committed,
    Content,
    Lease,
    ObjectRepository,
    Reservation,
    UploadIntent,
)
from juststorage.ports._read_only import ReadOnlySwitch
from juststorage.ports._staged_blob import ResumableBlob, StagedBlob
from juststorage.ports._tallies import TallyRepository
from juststorage.ports._tracer import Attributes, SpanKind, Tracer
from juststorage.ports._usage import (
    Totals,
    TotalsPart,
    Usage,
    UsageDrift,
    UsagePart,
    UsageRecount,
    UsageRepository,
)

__all__ = [
    "AUDIT_NOBODY",
    "Actor",
    "ApiKeyChange",
    "ApiKeyRepository",
    "Attributes",
    "AuditEvent",
    "AuditRepository",
    "Authenticator",
    "BackupRepository",
    "BlobReader",
    "BlobRepository",
    "BlobStore",
    "Clock",
    "Committed",
    "Content",
    "CountDrift",
    "Credentials",
    "Decision",
    "GCPolicy",
    "GarbageCandidate",
    "HashState",
    "Hasher",
    "Hold",
    "IdempotencyRecord",
    "IdempotencyRepository",
    "Lease",
    "MetadataStore",
    "ObjectRepository",
    "PlacedBlob",
    "ReadOnlySwitch",
    "Record",
    "Removal",
    "Reservation",
    "ResumableBlob",
    "SavedAnswer",
    "SavedBlob",
    "Snapshot",
    "Space",
    "SpanKind",
    "StagedBlob",
    "StagedEntry",
    "TallyRepository",
    "Totals",
    "TotalsPart",
    "Tracer",
    "TrashedBlob",
    "UploadIntent",
    "Usage",
    "UsageDrift",
    "UsagePart",
    "UsageRecount",
    "UsageRepository",
    "acting",
    "decode_answer",
    "encode_answer",
]
