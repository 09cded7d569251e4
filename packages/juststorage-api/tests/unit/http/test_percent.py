"""Percent-decoding."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from juststorage_api._http.percent import decode


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        (b"", ""),
        (b"plain", "plain"),
        (b"a%20b", "a b"),
        (b"%C3%a4", "ä"),
        (b"%2525", "%25"),
        (b"%2F%2e", "/."),
        (b"a+b", "a+b"),
        (b"%00", "\0"),
    ],
)
def test_decodes_once(raw: bytes, text: str) -> None:
    """Each escape becomes its byte, and what comes out is not looked at again."""
    assert text == decode(raw)


def test_plus_is_a_space_in_forms_only() -> None:
    """`%2B` stays a plus either way."""
    assert decode(b"a+b%2Bc", plus=True) == "a b+c"


@pytest.mark.parametrize(
    "raw",
    [b"%", b"a%2", b"%zz", b"% 1", b"%+1", b"%1g", b"%u0041", b"%%41", b"%\xc3\xa4"],
)
def test_refuses_half_escapes(raw: bytes) -> None:
    """An escape is a percent sign and two hex digits, nothing else."""
    with pytest.raises(ValueError, match="hex digits"):
        decode(raw)


@pytest.mark.parametrize(
    "raw", [b"%FF", b"\xff", b"%C3", b"%C0%AF", b"%ED%A0%80", b"%F4%90%80%80", b"%80"]
)
def test_refuses_what_is_not_utf8(raw: bytes) -> None:
    """Overlong forms, surrogates and stray bytes are not text."""
    with pytest.raises(ValueError, match="UTF-8"):
        decode(raw)


@given(st.text())
def test_every_text_survives(text: str) -> None:
    """Escaping every byte and decoding gives the text back."""
    raw = b"".join(b"%%%02X" % byte for byte in text.encode("utf-8", "ignore"))
    assert decode(raw) == text.encode("utf-8", "ignore").decode()
