"""What is written into a backup is read again; what nobody wrote is refused."""

from __future__ import annotations

import gzip
import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from juststorage.domain import (
    BlobKey,
    ObjectId,
    ObjectMetadata,
    ObjectStatus,
    StorageClass,
    StoredObject,
)
from juststorage.errors import Corrupt
from juststorage.ports import AuditEvent, Record, SavedAnswer, SavedBlob
from juststorage.testing import make_api_key, make_content, make_new_object
from juststorage.usecases._backup._format import (
    Manifest,
    SegmentBuilder,
    decode_manifest,
    decode_segment,
    encode_manifest,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
HEAD = b'{"format": "juststorage-backup-records", "version": 1}\n'
DEEP = b"[" * 100_000 + b"]" * 100_000


def state() -> list[Record]:
    """A record of each kind, with what is easily lost on the way."""
    content = make_content("x")
    begun = StoredObject.begin(make_new_object("ä/\n".strip()), NOW)
    stored = replace(
        begun.with_content(content.content_hash, 1),
        status=ObjectStatus.COMMITTED,
        metadata=ObjectMetadata(b'{"n":1.50,"a":"\xc3\xa4"}'),
    )
    return [
        replace(make_api_key(namespaces=["team-*"], expires_at=NOW), last_used_at=NOW),
        SavedBlob(
            key=BlobKey(content.content_hash, StorageClass.COLD),
            size_bytes=2**40,
            references=3,
            first_seen_at=NOW,
            last_used_at=None,
        ),
        stored,
        SavedAnswer(
            tenant_id=stored.tenant_id,
            text="t",
            request="r",
            upload_id=ObjectId.new(),
            expires_at=NOW,
            answer="{}",
        ),
        AuditEvent(
            id=1,
            at=NOW,
            action="object.created",
            subject=None,
            request_id="r",
            tenant_id=None,
            namespace=None,
            target="x",
            details={"a": [1, None]},
        ),
    ]


def segment(records: list[Record]) -> bytes:
    """These records as a segment."""
    builder = SegmentBuilder()
    builder.add(records)
    return builder.finish()


def test_records_come_back() -> None:
    """Value for value, and the same records give the same bytes."""
    records = state()
    data = segment(records)
    assert list(decode_segment(data)) == records
    assert segment(records) == data
    assert b'"metadata":{"n":1.50,"a":"\xc3\xa4"}' in gzip.decompress(data)


def changed(line: int, **changes: Any) -> bytes:
    """A segment with other fields in a line."""
    lines = gzip.decompress(segment(state())).splitlines()
    fields = json.loads(lines[line])
    for name, value in changes.items():
        (fields.get("api_key", {}) if name in fields.get("api_key", {}) else fields)[name] = value
    lines[line] = json.dumps(fields).encode()
    return gzip.compress(b"\n".join(lines) + b"\n")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no gzip",
        segment(state())[:-9],
        gzip.compress(b""),
        gzip.compress(b"{}\n"),
        gzip.compress(b'{"format": "something else", "version": 1}\n'),
        changed(0, version=2),
        changed(1, record="of another release"),
        changed(1, tenants=["no tenant!"]),
        changed(2, content_hash="sha256:../../etc"),
        changed(2, storage_class="warm"),
        changed(3, key="\x00"),
        changed(3, size_bytes="many"),
        changed(3, id="../x"),
        changed(3, id=[]),
        changed(3, metadata=5),
        gzip.compress(HEAD + b'{"record": "object", "metadata": ' + DEEP + b"}\n"),
        gzip.compress(gzip.decompress(segment(state())) + b"\xff\n"),
        gzip.compress(b" " * (80 * 2**20)),
    ],
    # Not by what is in them: a compressed file has the time in it.
    ids=(
        *("empty", "no gzip", "cut", "nothing in it", "no head", "other format", "other version"),
        *("other record", "tenant", "hash", "class", "key", "size", "id"),
        *("a list for an id", "no metadata", "deep", "no UTF-8", "too large"),
    ),
)
def test_other_segments_are_refused(data: bytes) -> None:
    """Cut, of another format or release, with names that no client could have sent, or bombs."""
    with pytest.raises(Corrupt):
        list(decode_segment(data))


def test_a_deep_manifest_is_refused() -> None:
    """Deeper than Python can follow, with a check that is right."""
    text = b'{"format": ' + DEEP + b"}"
    check = hashlib.sha256(text).hexdigest().encode()
    with pytest.raises(Corrupt):
        decode_manifest(text + b"\n" + check + b"\n")


def test_manifests() -> None:
    """One comes back; one of another release, or with another field, is refused."""
    manifest = Manifest(
        id="x", taken_at=NOW, made_by="1", records={}, blobs={}, blob_bytes={}, segments=[]
    )
    assert decode_manifest(encode_manifest(manifest)) == manifest
    for other in (
        replace(manifest, version=2),
        replace(manifest, format="something else"),
        replace(manifest, segments=[1]),
    ):
        with pytest.raises(Corrupt):
            decode_manifest(encode_manifest(other))
