"""Names on the volume."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from juststorage.domain import ContentHash, ObjectId
from juststorage_localfs import _layout

HEX = "ab" + "cd" + "0" * 60
SHA256 = ContentHash(f"sha256:{HEX}")
BLAKE3 = ContentHash(f"blake3:{HEX}")
SHA512 = ContentHash("sha512:" + "1f" * 64)


def test_the_documented_paths() -> None:
    """SHA-256 has `{aa}/{bb}/{hex}`, any other algorithm its name above that."""
    assert _layout.locator_of(SHA256) == f"ab/cd/{HEX}"
    assert _layout.locator_of(BLAKE3) == f"blake3/ab/cd/{HEX}"
    assert _layout.locator_of(SHA512) == "sha512/1f/1f/" + "1f" * 64


@pytest.mark.parametrize("content_hash", [SHA256, BLAKE3, SHA512, ContentHash("md5:" + "0" * 32)])
def test_a_locator_tells_its_hash(content_hash: ContentHash) -> None:
    """Locator and hash are two spellings of one thing."""
    locator = _layout.locator_of(content_hash)
    assert _layout.hash_of(locator) == content_hash
    assert _layout.is_locator(locator)


@pytest.mark.parametrize(
    "text",
    [
        "",
        HEX,
        f"ab/{HEX}",
        f"ab/ce/{HEX}",
        f"/ab/cd/{HEX}",
        f"ab/cd/{HEX}/",
        f"ab/cd/{HEX}\n",
        f"ab/cd/{HEX.upper()}",
        f"ab/cd/{HEX[:-1]}",
        f"sha256/ab/cd/{HEX}",
        f"blake3/ab/cd/{HEX}00",
        f"../ab/cd/{HEX}",
        f"Blake3/ab/cd/{HEX}",
        f".trash/ab/cd/{HEX}",
        f"ab//cd/{HEX}",
        f"md5/ab/cd/abcd{'0' * 27}",
        "\ud800",
    ],
)
def test_what_is_no_locator(text: str) -> None:
    """Anything that this store did not make is refused before it becomes a path."""
    assert _layout.hash_of(text) is None
    assert not _layout.is_locator(text)


def test_a_staged_name_carries_its_upload() -> None:
    """The sweeper reads the upload's id off the name; two attempts do not collide."""
    upload_id = ObjectId.new()
    first, second = _layout.staged_name(upload_id), _layout.staged_name(upload_id)
    assert first != second
    folder, _, entry = first.partition("/")
    assert folder == _layout.STAGING
    assert _layout.parse_staged(entry) == upload_id


@pytest.mark.parametrize("name", [".ping", "x", "0190163d-8694-739b-aea5-966c26f8ad91", "../x", ""])
def test_what_is_no_staged_name(name: str) -> None:
    """Foreign files in staging are nobody's upload."""
    assert _layout.parse_staged(name) is None


@pytest.mark.parametrize("content_hash", [SHA256, BLAKE3, SHA512])
def test_a_trashed_name_carries_time_and_hash(content_hash: ContentHash) -> None:
    """What was removed, and when, is in the name; the bucket is that of the time."""
    now = datetime(2026, 11, 25, 9, 59, 59, 999_999, UTC)
    entry = _layout.trashed_name(content_hash, now)
    bucket, _, name = entry.partition("/")
    assert bucket == "20261125T0950" == _layout.bucket_of_entry(entry)
    assert _layout.parse_trashed(name) == (now, content_hash)
    assert _layout.bucket_end(bucket) == datetime(2026, 11, 25, 10, tzinfo=UTC)
    assert len(name) <= 255
    assert _layout.trashed_name(content_hash, now) != entry


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "20261125T0950",
        "20261125T0950/x",
        f"20261325T0950/{'0' * 20}.sha256.{HEX}.00000000",
        f"../{'0' * 20}.sha256.{HEX}.00000000",
        f"20261125T0950/../{'0' * 20}.sha256.{HEX}.00000000",
    ],
)
def test_what_is_no_trash_entry(entry: str) -> None:
    """Anything else is refused before it becomes a path."""
    assert _layout.bucket_of_entry(entry) is None


@pytest.mark.parametrize(
    "name",
    [
        "x",
        f"{'0' * 20}.sha256.{HEX}",
        f"{'0' * 20}.sha256.{HEX}00.00000000",
    ],
)
def test_foreign_names_in_the_trash(name: str) -> None:
    """A name that is not ours, or names no possible hash, is passed over."""
    assert _layout.parse_trashed(name) is None
