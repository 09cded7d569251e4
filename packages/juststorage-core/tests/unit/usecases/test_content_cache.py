"""The memory of small contents: bounded, and what was used last stays."""

from __future__ import annotations

from hashlib import sha256

from juststorage.domain import ContentHash
from juststorage.usecases._content_cache import ContentCache


def named(data: bytes) -> ContentHash:
    """The hash of a content."""
    return ContentHash(f"sha256:{sha256(data).hexdigest()}")


def kept(cache: ContentCache, *contents: bytes) -> list[bytes]:
    """Those that are there."""
    return [data for data in contents if cache.get(named(data)) == data]


def test_what_was_used_longest_ago_goes() -> None:
    """A new content takes the place of the one that nobody has asked for since."""
    cache = ContentCache(6)
    for data in (b"aaa", b"bbb"):
        cache.add(named(data), data)
    assert cache.get(named(b"aaa")) == b"aaa"
    cache.add(named(b"ccc"), b"ccc")
    assert kept(cache, b"aaa", b"bbb", b"ccc") == [b"aaa", b"ccc"]


def test_it_holds_no_more_than_it_may() -> None:
    """The bound is a sum of bytes, however many contents they are."""
    cache = ContentCache(10)
    contents = [bytes([number]) * (number % 5 + 1) for number in range(100)]
    for data in contents:
        cache.add(named(data), data)
        assert sum(map(len, kept(cache, *contents))) <= 10


def test_what_is_larger_than_all_of_it_pushes_nothing_out() -> None:
    """A content that cannot stay is not let in."""
    cache = ContentCache(3)
    cache.add(named(b"abc"), b"abc")
    cache.add(named(b"abcd"), b"abcd")
    assert kept(cache, b"abc", b"abcd") == [b"abc"]


def test_the_same_content_twice_counts_once() -> None:
    """Two requests that verified it at once leave one."""
    cache = ContentCache(6)
    for data in (b"abc", b"abc", b"def"):
        cache.add(named(data), data)
    assert kept(cache, b"abc", b"def") == [b"abc", b"def"]


def test_none() -> None:
    """Of no bytes it keeps nothing but what has none."""
    cache = ContentCache(0)
    cache.add(named(b"abc"), b"abc")
    assert cache.get(named(b"abc")) is None
