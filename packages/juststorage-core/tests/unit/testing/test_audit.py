"""The auditor finds what it is there to find."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from juststorage.domain import BlobKey, StorageClass
from juststorage.plugins._guards import unwrap
from juststorage.plugins.memory import MEMORY_METADATA
from juststorage.plugins.memory._metadata_store import MemoryMetadataStore
from juststorage.plugins.memory._rows import Rows
from juststorage.ports import MetadataStore
from juststorage.testing import (
    audit_metadata,
    make_content,
    make_intent,
    open_backend,
    store_object,
)

pytest_plugins = ["juststorage.testing.fixtures"]

CONTENT = make_content("x")
KEY = BlobKey(CONTENT.content_hash, StorageClass.HOT)


@pytest.fixture
async def store() -> AsyncIterator[MetadataStore]:
    """A store with two objects on one blob, an upload that has reserved it, and garbage."""
    async with open_backend(MEMORY_METADATA) as store:
        await store_object(store, make_intent("k"), CONTENT)
        await store_object(store, make_intent("l"), CONTENT)
        lease = await store.objects.begin(make_intent(), lease_s=60)
        await store.objects.reserve(lease, CONTENT)
        garbage = await store_object(store)
        await store.objects.delete(garbage.object.tenant_id, garbage.object.id)
        yield store


def rows_of(store: MetadataStore) -> Rows:
    """The tables behind the port, to damage them."""
    inner = unwrap(store)
    assert isinstance(inner, MemoryMetadataStore)
    return inner.rows


async def test_a_healthy_store_is_clean(store: MetadataStore) -> None:
    """No false alarms."""
    assert await audit_metadata(store) == []


@pytest.mark.parametrize(
    ("damage", "finding"),
    [
        ({"ref_count": 2}, "I3"),
        ({"ref_count": 4}, "I3"),
        ({"ref_count": 0}, "I3"),
        ({"size_bytes": 99}, "I1"),
        ({"stored_at": None}, "I1"),
        ({"locator": None}, "I1"),
    ],
)
async def test_a_damaged_blob_is_found(
    store: MetadataStore, damage: dict[str, Any], finding: str
) -> None:
    """Counts, sizes and places that contradict the objects."""
    blobs = rows_of(store).blobs
    blobs[KEY] = replace(blobs[KEY], **damage)
    found = await audit_metadata(store)
    assert found
    assert all(line.startswith(finding) for line in found)


async def test_garbage_without_a_date_is_found(store: MetadataStore) -> None:
    """A count of 0 has the time when it became that."""
    blobs = rows_of(store).blobs
    (key,) = set(blobs) - {KEY}
    blobs[key] = replace(blobs[key], zero_since=None)
    assert [line[:2] for line in await audit_metadata(store)] == ["I3"]


async def test_a_missing_blob_is_found(store: MetadataStore) -> None:
    """An object whose blob is of another class than its row."""
    for row in rows_of(store).objects.values():
        if row.object.key == "k":
            row.object = replace(row.object, storage_class=StorageClass.COLD)
    found = await audit_metadata(store)
    assert {line[:2] for line in found} == {"I1", "I3"}
    assert any("no blob row" in line for line in found)
    assert any("has no row" in line for line in found)


async def test_a_key_held_twice_is_found(store: MetadataStore) -> None:
    """Two committed objects of one name."""
    for row in rows_of(store).objects.values():
        if row.object.key == "l":
            row.object = replace(row.object, key="k")
    assert [line[:2] for line in await audit_metadata(store)] == ["I7"]
