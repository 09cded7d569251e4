"""Object ids and content hashes."""

from __future__ import annotations

import hashlib
import time
import uuid

import pytest

from juststorage.domain import BlobKey, ContentHash, ObjectId, StorageClass
from juststorage.errors import Invalid

UUID = "0190163d-8694-739b-aea5-966c26f8ad91"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        UUID[:-1],
        UUID + "0",
        UUID.replace("-", ""),
        "{" + UUID + "}",
        "urn:uuid:" + UUID,
        UUID.replace("0", "g", 1),
        " " + UUID,
        UUID + "\n",
        UUID.replace("0", "\N{ARABIC-INDIC DIGIT ZERO}", 1),
        "../" + UUID[3:],
    ],
    ids=ascii,
)
def test_what_is_no_object_id(text: str) -> None:
    """Only the hyphenated form of a UUID passes."""
    with pytest.raises(Invalid, match="UUID"):
        ObjectId(text)


def test_upper_case_is_lowered() -> None:
    """There is one text for each id."""
    assert ObjectId(UUID.upper()) == ObjectId(UUID) == UUID


def test_new_ids_are_version_7() -> None:
    """Version and variant are as RFC 9562 has them, and the time is in front."""
    before = time.time_ns() // 1_000_000
    made = [ObjectId.new() for _ in range(1000)]
    after = time.time_ns() // 1_000_000
    assert len(set(made)) == 1000
    for each in made:
        parsed = uuid.UUID(each)
        assert str(parsed) == each
        assert parsed.version == 7
        assert parsed.variant == uuid.RFC_4122
        assert before <= parsed.int >> 80 <= after
        assert ObjectId(each) == each


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:",
        "sha256",
        ":" + "0" * 64,
        "0" * 64,
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 62,
        "sha256:" + "0" * 66,
        "sha512:" + "0" * 64,
        "blake3:" + "0" * 128,
        "sha256:" + "0" * 63 + "G",
        "sha256:" + "A" * 64,
        "SHA256:" + "0" * 64,
        "256sha:" + "0" * 64,
        "sha-256:" + "0" * 64,
        "a" * 33 + ":" + "0" * 64,
        "md4:" + "0" * 30,
        "wide:" + "0" * 130,
        "odd:" + "0" * 33,
        " sha256:" + "0" * 64,
        "sha256:" + "0" * 64 + "\n",
        "sha256:../" + "0" * 61,
    ],
    ids=ascii,
)
def test_what_is_no_content_hash(text: str) -> None:
    """A digest of another form, case or length is refused."""
    with pytest.raises(Invalid):
        ContentHash(text)


def test_a_content_hash_has_its_parts() -> None:
    """Text, algorithm, hex and bytes of one digest."""
    digest = hashlib.sha256(b"x").digest()
    made = ContentHash.of("sha256", digest)
    assert made == f"sha256:{digest.hex()}"
    assert (made.algorithm, made.hex, made.digest) == ("sha256", digest.hex(), digest)
    assert ContentHash(str(made)) == made


@pytest.mark.parametrize("size", [16, 20, 64])
def test_unknown_algorithms_survive(size: int) -> None:
    """Data written with another hasher can be read and written again."""
    made = ContentHash("future_1:" + "ab" * size)
    assert (made.algorithm, made.digest) == ("future_1", b"\xab" * size)


def test_blob_keys_are_ordered_by_hash_then_class() -> None:
    """The order in which rows are locked (R08)."""
    one, two = ContentHash("sha256:" + "0" * 64), ContentHash("sha256:" + "1" * 64)
    keys = [BlobKey(each, kind) for each in (two, one) for kind in StorageClass]
    assert sorted(keys) == [
        BlobKey(one, StorageClass.COLD),
        BlobKey(one, StorageClass.HOT),
        BlobKey(two, StorageClass.COLD),
        BlobKey(two, StorageClass.HOT),
    ]
