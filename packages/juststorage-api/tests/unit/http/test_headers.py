"""Request header fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage.domain import DEFAULT_CONTENT_TYPE, ObjectMetadata
from juststorage.errors import Invalid, InvalidMetadata
from juststorage_api._http.headers import (
    attachment,
    body_length,
    content_type,
    fields_of,
    object_metadata,
    refuse_coding,
)
from juststorage_api._http.problem import UnsupportedMediaType


def test_lines_of_one_field_are_a_list() -> None:
    """In the order in which they came."""
    assert fields_of([(b"if-match", b'"a"'), (b"x", b"1"), (b"if-match", b'"b"')]) == {
        b"if-match": b'"a", "b"',
        b"x": b"1",
    }


@pytest.mark.parametrize("name", [b"content-length", b"content-type", b"range", b"x-content-hash"])
def test_some_fields_stand_once(name: bytes) -> None:
    """Two of them would be two meanings, even if they are equal."""
    with pytest.raises(Invalid, match="repeated"):
        fields_of([(name, b"1"), (name, b"1")])


@pytest.mark.parametrize("text", [b"", b"-1", b"+1", b"1 ", b"0x1", b"1,1", b"9" * 19, b"\xb2"])
def test_lengths_are_digits(text: bytes) -> None:
    """Nothing that `int` would take beyond that."""
    with pytest.raises(Invalid):
        body_length({b"content-length": text})


def test_lengths() -> None:
    """There may be none."""
    assert body_length({}) is None
    assert body_length({b"content-length": b"00012"}) == 12


@pytest.mark.parametrize(
    "text",
    ["text/plain", "application/vnd.x+json", "text/plain;charset=utf-8", "a/b ; c=d;e=f",
     'a/b; c="d\\"; e"', "a/b;", "a/b;;c=d", "x/" + "y" * 253],
)  # fmt: skip
def test_media_types_are_kept_as_they_are(text: str) -> None:
    """Spelling and parameters are the client's."""
    assert content_type({b"content-type": text.encode()}) == text


@pytest.mark.parametrize("fields", [{}, {b"content-type": b""}])
def test_without_a_type_it_is_octets(fields: dict[bytes, bytes]) -> None:
    """An empty field says nothing."""
    assert content_type(fields) == DEFAULT_CONTENT_TYPE


@pytest.mark.parametrize(
    "text",
    [b"text", b"/", b"a/", b"/b", b"a/b/c", b"a b/c", b"a/b c", b"a/b; c", b"a/b; c=", b'a/b; c="',
     b"a/b; =d", b"a/b, c/d", b"a/\xe4", b"a/b\x7f", b"x/" + b"y" * 254, b" a/b"],
)  # fmt: skip
def test_malformed_types(text: bytes) -> None:
    """What could not be sent back as a header is not stored."""
    with pytest.raises(Invalid, match="Content-Type"):
        content_type({b"content-type": text})


@pytest.mark.parametrize("text", [b"", b"identity", b"IDENTITY", b" identity , identity"])
def test_identity_is_no_coding(text: bytes) -> None:
    """It means: as it is."""
    refuse_coding({b"content-encoding": text})
    refuse_coding({})


@pytest.mark.parametrize("text", [b"gzip", b"identity, br", b"x", b"zstd,"])
def test_codings_are_refused(text: bytes) -> None:
    """Any of them, wherever in the list."""
    with pytest.raises(UnsupportedMediaType):
        refuse_coding({b"content-encoding": text})


def test_metadata() -> None:
    """JSON in ASCII, compacted; none is empty."""
    assert object_metadata({}) is ObjectMetadata.EMPTY
    found = object_metadata({b"x-object-metadata": b'{ "a" : "\\u00e4" }'})
    assert found.encoded == '{"a":"ä"}'.encode()


@pytest.mark.parametrize(
    "text", [b"", b" ", b"{", b"[]", b"1", b'{"a":\xc3\xa4}', b"{" + b" " * 16384 + b"}"]
)
def test_malformed_metadata(text: bytes) -> None:
    """Also what is ASCII only after a client's idea of an encoding."""
    with pytest.raises(InvalidMetadata):
        object_metadata({b"x-object-metadata": text})


@pytest.mark.parametrize(
    ("filename", "value"),
    [
        ("a.txt", b'attachment; filename="a.txt"'),
        ("a b;c.txt", b'attachment; filename="a b;c.txt"'),
        ('a"b', b"attachment; filename=\"a_b\"; filename*=UTF-8''a%22b"),
        ("a\\b", b"attachment; filename=\"a_b\"; filename*=UTF-8''a%5Cb"),
        ("100%41", b"attachment; filename=\"100_41\"; filename*=UTF-8''100%2541"),
        ("ä€", b"attachment; filename=\"__\"; filename*=UTF-8''%C3%A4%E2%82%AC"),
        ("../x", b'attachment; filename="../x"'),
    ],
)
def test_dispositions(filename: str, value: bytes) -> None:
    """RFC 6266: a plain form for all, and the exact one where they differ."""
    assert attachment(filename) == value


@pytest.mark.parametrize("filename", ["", "x" * 256, "a\nb", "a\r\nSet-Cookie: x", "\0", "\x7f"])
def test_malformed_filenames(filename: str) -> None:
    """Nothing that could become a header of its own."""
    with pytest.raises(Invalid, match="filename"):
        attachment(filename)


@given(st.text(min_size=1, max_size=255))
def test_a_disposition_is_one_line_of_ascii(filename: str) -> None:
    """Whatever the name."""
    try:
        value = attachment(filename)
    except (Invalid, UnicodeEncodeError):
        return
    assert value.isascii()
    assert value.decode().isprintable()


@pytest.mark.parametrize("text", [b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"x"])
def test_transfer_codings_are_refused(text: bytes) -> None:
    """Servers take off `chunked`; what is left would be stored as if it were the content."""
    refuse_coding({b"transfer-encoding": b" Chunked\t"})
    with pytest.raises(Invalid):
        refuse_coding({b"transfer-encoding": text})
