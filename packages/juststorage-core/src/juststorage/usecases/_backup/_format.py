"""What a backup consists of, byte by byte. docs/backup.md describes it for people.

A *segment* is gzip of lines, each a JSON object; the first one says what follows, each of the
others is a record with its kind in `record`. A *manifest* is one line of JSON, and a second one
with the SHA-256 of the first. Both are blobs, so a segment is named by its hash as well.

`FORMAT_VERSION` rises when a release writes what its predecessors cannot read.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from juststorage.domain import (
    ApiKey,
    BlobKey,
    ContentHash,
    Namespace,
    ObjectId,
    ObjectKey,
    ObjectMetadata,
    ObjectStatus,
    StorageClass,
    StoredObject,
    TenantId,
)
from juststorage.errors import Corrupt, JustStorageError
from juststorage.ports import AuditEvent, Record, SavedAnswer, SavedBlob

__all__ = [
    "FORMAT_VERSION",
    "MISSING_NAMED_MAX",
    "Manifest",
    "SegmentBuilder",
    "SegmentRef",
    "decode_manifest",
    "decode_segment",
    "encode_manifest",
    "is_as_written",
    "sha256_of",
]

FORMAT_VERSION: Final = 1

MISSING_NAMED_MAX: Final = 1000
"""Missing blobs that a report or a manifest names. All are counted: of a volume that was lost, all
are missing, and each name takes memory."""

_SEGMENT_RECORDS: Final = 20_000
_SEGMENT_BYTES: Final = 8 * 1024 * 1024
"""A segment is full with so many records, or so many bytes of lines: it is in memory as a whole."""

_SEGMENT: Final = "juststorage-backup-records"
_MANIFEST: Final = "juststorage-backup"
_GZIP: Final = 31
_SEGMENT_BYTES_MAX: Final = 8 * _SEGMENT_BYTES
"""No segment that we write unpacks to more: a page of objects with all the metadata that they may
have goes over what is full."""


class SegmentRef(msgspec.Struct, frozen=True, kw_only=True):
    """A segment, and how many records of each kind it has."""

    content_hash: str
    size_bytes: int
    records: dict[str, int]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """One backup.

    Args:
        id: Who it is; ids ascend with time.
        taken_at: The instant of the state, by the clock of the store that it was taken from.
        made_by: The release that wrote it.
        records: How many there are of each kind.
        blobs, blob_bytes: By storage class.
        segments: In the order in which they are put back.
        missing: Blobs that the state names and that could not be read, `class/hash`; not all
            of more than a thousand.
    """

    id: str
    taken_at: datetime
    made_by: str
    records: dict[str, int]
    blobs: dict[str, int]
    blob_bytes: dict[str, int]
    segments: list[SegmentRef]
    missing: list[str] = []
    format: str = _MANIFEST
    version: int = FORMAT_VERSION


# -- records ----------------------------------------------------------------------------------


class _ApiKey(msgspec.Struct, frozen=True, tag="api_key", tag_field="record"):
    api_key: ApiKey


class _Blob(msgspec.Struct, frozen=True, kw_only=True, tag="blob", tag_field="record"):
    content_hash: ContentHash
    storage_class: StorageClass
    size_bytes: int
    references: int
    first_seen_at: datetime
    last_used_at: datetime | None


class _Object(msgspec.Struct, frozen=True, kw_only=True, tag="object", tag_field="record"):
    id: ObjectId
    namespace: Namespace
    tenant_id: TenantId
    key: ObjectKey | None
    storage_class: StorageClass
    content_hash: ContentHash
    size_bytes: int
    content_type: str
    metadata: msgspec.Raw
    created_at: datetime
    updated_at: datetime


class _Answer(msgspec.Struct, frozen=True, tag="answer", tag_field="record"):
    answer: SavedAnswer


class _Event(msgspec.Struct, frozen=True, tag="event", tag_field="record"):
    event: AuditEvent


_Line = _ApiKey | _Blob | _Object | _Answer | _Event


class _Head(msgspec.Struct, frozen=True):
    format: str
    version: int


def _checked(kind: type[Any], value: Any) -> Any:
    """Names are checked as if a client had sent them: who can write to a backup is not trusted."""
    if not isinstance(value, str):
        raise msgspec.ValidationError(f"Expected `str`, got `{type(value).__name__}`")
    return kind(value)


_encode: Final = msgspec.json.Encoder(enc_hook=str).encode
_decode: Final = msgspec.json.Decoder(_Line, dec_hook=_checked).decode
_decode_metadata: Final = msgspec.json.Decoder(dict[str, Any]).decode
"""To check them: it is their text that is put back."""
_decode_head: Final = msgspec.json.Decoder(_Head).decode
_decode_manifest: Final = msgspec.json.Decoder(Manifest).decode


def _line_of(record: Record) -> _Line:
    if isinstance(record, StoredObject):
        assert record.content_hash is not None and record.size_bytes is not None
        return _Object(
            id=record.id,
            namespace=record.namespace,
            tenant_id=record.tenant_id,
            key=record.key,
            storage_class=record.storage_class,
            content_hash=record.content_hash,
            size_bytes=record.size_bytes,
            content_type=record.content_type,
            metadata=msgspec.Raw(record.metadata.encoded),
            created_at=record.created_at,
            updated_at=record.updated_at,
        )
    if isinstance(record, SavedBlob):
        return _Blob(
            content_hash=record.key.content_hash,
            storage_class=record.key.storage_class,
            size_bytes=record.size_bytes,
            references=record.references,
            first_seen_at=record.first_seen_at,
            last_used_at=record.last_used_at,
        )
    if isinstance(record, ApiKey):
        return _ApiKey(record)
    return _Answer(record) if isinstance(record, SavedAnswer) else _Event(record)


def _record_of(line: _Line) -> Record:
    match line:
        case _Object():
            _decode_metadata(line.metadata)
            return StoredObject(
                id=line.id,
                namespace=line.namespace,
                tenant_id=line.tenant_id,
                key=line.key,
                status=ObjectStatus.COMMITTED,
                storage_class=line.storage_class,
                content_hash=line.content_hash,
                size_bytes=line.size_bytes,
                content_type=line.content_type,
                metadata=ObjectMetadata(bytes(line.metadata)),
                created_at=line.created_at,
                updated_at=line.updated_at,
            )
        case _Blob():
            return SavedBlob(
                key=BlobKey(line.content_hash, line.storage_class),
                size_bytes=line.size_bytes,
                references=line.references,
                first_seen_at=line.first_seen_at,
                last_used_at=line.last_used_at,
            )
        case _ApiKey():
            return line.api_key
        case _Answer():
            return line.answer
        case _Event():
            return line.event


# -- segments ---------------------------------------------------------------------------------


_KINDS: Final[dict[type, str]] = {
    ApiKey: "api_keys",
    SavedBlob: "blobs",
    StoredObject: "objects",
    SavedAnswer: "answers",
    AuditEvent: "events",
}


class SegmentBuilder:
    """A segment on its way; equal records give equal bytes."""

    def __init__(self) -> None:
        self.records: Counter[str] = Counter()
        """How many there are so far, by kind."""
        self._packer = zlib.compressobj(level=3, wbits=_GZIP)
        self._parts = [self._packer.compress(_encode(_Head(_SEGMENT, FORMAT_VERSION)) + b"\n")]
        self._bytes = 0

    def add(self, records: Sequence[Record]) -> None:
        """Add a page."""
        text = b"".join([_encode(_line_of(record)) + b"\n" for record in records])
        self._bytes += len(text)
        self._parts.append(self._packer.compress(text))
        self.records.update(_KINDS[type(record)] for record in records)

    @property
    def is_full(self) -> bool:
        """Whether the next page belongs into the next segment."""
        return self._bytes >= _SEGMENT_BYTES or self.records.total() >= _SEGMENT_RECORDS

    def finish(self) -> bytes:
        """The whole segment."""
        return b"".join([*self._parts, self._packer.flush()])


def decode_segment(data: bytes) -> Iterator[Record]:
    """The records of a segment, in order.

    Raises:
        Corrupt: It is none, or of a release that this one does not know.
    """
    unpacker = zlib.decompressobj(wbits=_GZIP)
    try:
        text = unpacker.decompress(data, _SEGMENT_BYTES_MAX)
    except zlib.error:
        raise Corrupt("a segment of the backup is no gzip") from None
    if not unpacker.eof:
        raise Corrupt("a segment of the backup is cut short, or too large")
    head, *lines = text.removesuffix(b"\n").split(b"\n")
    try:
        _require(_decode_head(head), _SEGMENT)
        for line in lines:
            yield _record_of(_decode(line))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt("a segment of the backup has a line that is no record") from error
    except JustStorageError as error:
        if isinstance(error, Corrupt):
            raise
        raise Corrupt(f"a record of the backup is not valid: {error.detail}") from error


def _require(head: _Head | Manifest, what: str) -> None:
    if head.format != what:
        raise Corrupt("this is no part of a backup")
    if head.version != FORMAT_VERSION:
        raise Corrupt(
            f"the backup has format {head.version}, and this release reads {FORMAT_VERSION}"
        )


# -- manifests --------------------------------------------------------------------------------


def encode_manifest(manifest: Manifest) -> bytes:
    """A manifest with its check."""
    text = msgspec.json.encode(manifest)
    return b"%b\n%b\n" % (text, hashlib.sha256(text).hexdigest().encode())


def is_as_written(data: bytes) -> bool:
    """Whether these bytes are those that were written as a manifest, by whatever release."""
    text, _, check = data.partition(b"\n")
    return check == b"%b\n" % hashlib.sha256(text).hexdigest().encode()


def decode_manifest(data: bytes) -> Manifest:
    """The manifest in these bytes.

    Raises:
        Corrupt: It is damaged or cut short; or of a release that this one does not know.
    """
    if not is_as_written(data):
        raise Corrupt("the manifest is damaged or cut short")
    text = data.partition(b"\n")[0]
    try:
        _require(_decode_head(text), _MANIFEST)
        return _decode_manifest(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Corrupt("the manifest is not valid") from error


def sha256_of(data: bytes) -> ContentHash:
    """What segments and manifests are named by, whatever the service names contents by."""
    return ContentHash.of("sha256", hashlib.sha256(data).digest())
