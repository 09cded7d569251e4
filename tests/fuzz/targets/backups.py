"""Backups: what is read from a store that others may have written to."""

from __future__ import annotations

import hashlib
import json
import zlib

from hypothesis import strategies as st

from juststorage.domain import StoredObject
from juststorage.errors import Corrupt
from juststorage.usecases._backup._format import (
    SegmentBuilder,
    decode_manifest,
    decode_segment,
    encode_manifest,
)
from tests.fuzz.fuzzing import Target
from tests.fuzz.inputs import bytes_near, json_near

__all__ = ["TARGETS"]

_ID = "0190163d-8694-739b-aea5-966c26f8ad91"
_HASH = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
_TIME = "2026-11-25T00:00:00Z"
_OBJECT = {"record": "object", "id": _ID, "namespace": "docs", "tenant_id": "acme", "key": "a",
           "storage_class": "hot", "content_hash": _HASH, "size_bytes": 5, "content_type": "a/b",
           "metadata": {"a": 1}, "created_at": _TIME, "updated_at": _TIME}  # fmt: skip
_BLOB = {"record": "blob", "content_hash": _HASH, "storage_class": "hot", "size_bytes": 5,
         "references": 1, "first_seen_at": _TIME, "last_used_at": None}  # fmt: skip
_KEY = {"record": "api_key", "api_key": {
    "id": _ID, "name": "n", "prefix": "", "hashed": "AAAA", "tenants": ["acme"], "namespaces": None,
    "scopes": ["admin"], "created_at": _TIME, "expires_at": None, "last_used_at": None,
    "is_active": True}}  # fmt: skip
_HEAD = {"format": "juststorage-backup-records", "version": 1}
_MANIFEST = {"id": _ID, "taken_at": _TIME, "made_by": "0.1.0", "records": {"objects": 1},
             "blobs": {}, "blob_bytes": {},
             "segments": [{"content_hash": _HASH, "size_bytes": 1, "records": {}}],
             "missing": ["hot/" + _HASH], "format": "juststorage-backup", "version": 1}  # fmt: skip


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, Corrupt)


def read_segment(value: tuple[list[bytes], bytes | None]) -> str | None:
    """Records, written again, are the same records; metadata are metadata."""
    lines, packed = value
    data = zlib.compress(b"\n".join(lines), wbits=31) if packed is None else packed
    records = list(decode_segment(data))
    for record in records:
        if isinstance(record, StoredObject):
            assert isinstance(record.metadata.value, dict)
    builder = SegmentBuilder()
    builder.add(records)
    assert list(decode_segment(builder.finish())) == records
    return None if records else "no records"


_NAMES = sorted({*_OBJECT, *_BLOB, *_KEY, *_KEY["api_key"]})  # type: ignore[misc]
_RECORDS = json_near(
    _NAMES,
    ["object", "blob", "api_key", "answer", "event", "hot", _HASH, _ID, _TIME, "acme"],
    [_OBJECT, _BLOB, _KEY],
)
_SEGMENTS = st.tuples(
    st.lists(_RECORDS, max_size=3).map(lambda lines: [json.dumps(_HEAD).encode(), *lines])
    | st.lists(json_near(list(_HEAD), list(_HEAD.values()), [_HEAD]), max_size=2),
    st.none()
    | st.none()
    | bytes_near(
        [zlib.compress(json.dumps(_HEAD).encode(), wbits=31)], [b"\x1f\x8b", b"\0", b"\xff" * 4]
    ),
)


def read_manifest(value: tuple[bytes, bool]) -> str | None:
    """A manifest, written again, is the same one."""
    text, has_check = value
    check = hashlib.sha256(text.partition(b"\n")[0]).hexdigest().encode()
    manifest = decode_manifest(text + b"\n" + check + b"\n" if has_check else text)
    assert decode_manifest(encode_manifest(manifest)) == manifest
    return None


_MANIFESTS = st.tuples(
    json_near(sorted(_MANIFEST), list(_MANIFEST.values()), [_MANIFEST]),
    st.sampled_from([True, True, True, False]),
)

TARGETS = {
    "segment": Target(_SEGMENTS, read_segment, _is_refusal),
    "manifest": Target(_MANIFESTS, read_manifest, _is_refusal),
}
