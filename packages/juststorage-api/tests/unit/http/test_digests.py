"""Announced digests."""

from __future__ import annotations

import base64
import contextlib
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage.domain import ContentHash
from juststorage.errors import Invalid
from juststorage_api._http.digests import announced_digests, repr_digest, wants_sha256

HASH = ContentHash.of("sha256", hashlib.sha256(b"hello").digest())
B64 = base64.b64encode(HASH.digest)
FIELD = b"sha-256=:" + B64 + b":"


@pytest.mark.parametrize(
    "text",
    [
        FIELD,
        FIELD + b";a=1; b;c=?1",
        b"md5=:AA==:," + FIELD,
        FIELD + b" ,\tmd5=:AA==:",
        b'a="q\\"\\\\", b=1.25;x, c=(1 "a" tok);y=:AA==:, d, e=@1, f=*t/x:y, ' + FIELD,
        b"sha-256=:" + base64.b64encode(bytes(32)) + b":, " + FIELD,
        b"a=(), " + FIELD,
    ],
)
@pytest.mark.parametrize("name", [b"repr-digest", b"content-digest"])
def test_sha256_is_found(name: bytes, text: bytes) -> None:
    """Among others, with parameters; the last of several counts."""
    assert announced_digests({name: text}) == (HASH,)


@pytest.mark.parametrize(
    "text", [b"md5=:AA==:", b"sha-512=:" + base64.b64encode(bytes(64)) + b":", b"x", b"sha-25=1"]
)
def test_unknown_algorithms_are_ignored(text: bytes) -> None:
    """As RFC 9530 asks."""
    assert announced_digests({b"repr-digest": text}) == ()


@pytest.mark.parametrize(
    "text",
    [b"", b" ", b",", FIELD + b",", b"," + FIELD, FIELD + FIELD, FIELD + b" x=1", b"SHA-256=:AA==:",
     b"sha-256", b"sha-256;a", b"sha-256=", b"sha-256=tok", b"sha-256=?1", b"sha-256=:AA:",
     b"sha-256=::", b"sha-256=:" + B64, b"sha-256=" + B64, b"sha-256=:" + B64 + b"=:",
     b"sha-256=:" + B64[:-2] + b":", b"sha-256=(:" + B64 + b":)", b"x=\xe4", b'x="\xe4"',
     b"x=1.2345", b"x=@", b"x=(1", b"1=1", b"x=:A_-:", b"x=" + b"a" * 5000],
)  # fmt: skip
def test_malformed_fields(text: bytes) -> None:
    """What is no dictionary, or gives no 32 bytes for sha-256, is refused."""
    with pytest.raises(Invalid):
        announced_digests({b"repr-digest": text})


@pytest.mark.parametrize(
    "text",
    [b"", b"sha256:", HASH.encode().upper(), HASH.encode()[:-1], HASH.encode() + b"0",
     b"sha512:" + b"0" * 128, HASH.encode()[7:], HASH.encode() + b" ", b"sha256:\xe4"],
)  # fmt: skip
def test_malformed_content_hash(text: bytes) -> None:
    """Only `sha256:` and lower-case hex."""
    with pytest.raises(Invalid, match="X-Content-Hash"):
        announced_digests({b"x-content-hash": text})


def test_all_fields_count() -> None:
    """Each announces a digest of its own."""
    other = ContentHash.of("sha256", bytes(32))
    fields = {
        b"x-content-hash": other.encode(),
        b"repr-digest": FIELD,
        b"content-digest": FIELD,
    }
    assert announced_digests(fields) == (other, HASH, HASH)
    assert announced_digests({}) == ()


def test_the_answer_has_the_same_form() -> None:
    """What is sent could be announced; an algorithm without a name is left out."""
    assert repr_digest(HASH) == FIELD
    assert repr_digest(ContentHash.of("blake3", bytes(32))) is None


@given(st.binary(max_size=60))
def test_no_bytes_break_it(text: bytes) -> None:
    """Anything is either read or refused."""
    with contextlib.suppress(Invalid):
        announced_digests({b"repr-digest": text})


@pytest.mark.parametrize(
    ("preferences", "wanted"),
    [
        (b"sha-256=10", True),
        (b"sha-512=3, sha-256=1", True),
        (b"sha-256=1 , unixsum=0", True),
        (b"sha-256=0", False),
        (b"sha-512=10", False),
        (b"xsha-256=1", False),
        (b"sha-256=100", False),
        (b"sha-256", False),
        (b"", False),
        (None, False),
    ],
)
def test_what_a_client_wants(preferences: bytes | None, wanted: bool) -> None:
    """A weight of 1 to 10 for sha-256; what is malformed asks for nothing."""
    assert wants_sha256(preferences) is wanted
