"""What parsers are given: noise, their own words in any order, and good inputs that were changed.

Noise alone ends at the first check. So most inputs are nearly right: a list of good ones with a few
bytes taken out or put in, and the words of a grammar in any order. Some are long, and the same over
and over, which is where parsers become slow or deep.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

__all__ = ["bytes_near", "json_near", "json_values", "sentences", "text_near"]

_LONG: Final = (1, 40, 300, 5000, 60_000)

Change = tuple[int, int, bytes]
"""Where, how many bytes go, and what comes for them."""


def sentences(
    pieces: Sequence[bytes], separator: bytes, start: bytes = b""
) -> SearchStrategy[bytes]:
    """Good inputs of a grammar that is a list of pieces."""
    listed = st.lists(st.sampled_from(pieces), min_size=1, max_size=8)
    return listed.map(lambda chosen: start + separator.join(chosen))


def bytes_near(
    good: Sequence[bytes] | SearchStrategy[bytes],
    words: Sequence[bytes],
    long_bytes: int = _LONG[-1],
) -> SearchStrategy[bytes]:
    """Bytes for a parser.

    Args:
        good: What it reads.
        words: What it knows: separators, names, edges of numbers.
        long_bytes: How long what is the same over and over may be.
    """
    word = st.sampled_from(words)
    near = good if isinstance(good, SearchStrategy) else st.sampled_from(good)
    gone = st.sampled_from([0, 0, 0, 1, 1, 2, 6])
    change = st.tuples(st.integers(0, 400), gone, word | word | st.binary(max_size=4))
    changed = st.builds(_changed, near, st.lists(change, max_size=2))
    heap = st.lists(word, max_size=12).map(b"".join)
    more = st.builds(lambda start, rest: start + rest, near, heap)
    long = st.builds(
        _repeated, near, word, st.sampled_from(_LONG), st.integers(0, 40), st.just(long_bytes)
    )
    # Of the kinds that come to more, more.
    return st.one_of(changed, changed, more, changed, heap, changed, long, st.binary(max_size=60))


def text_near(good: Sequence[str], words: Sequence[str]) -> SearchStrategy[str]:
    """The same as text, with all that UTF-8 can say."""
    encoded = bytes_near([each.encode() for each in good], [each.encode() for each in words])
    return encoded.map(lambda raw: raw.decode(errors="replace"))


def _changed(good: bytes, changes: list[Change]) -> bytes:
    for at, gone, come in changes:
        start = at % (len(good) + 1)
        good = good[:start] + come + good[start + gone :]
    return good


def _repeated(good: bytes, word: bytes, times: int, at: int, long_bytes: int) -> bytes:
    start = at % (len(good) + 1)
    return good[:start] + word * min(times, long_bytes // len(word)) + good[start:]


_NUMBERS: Final = (
    *(0, -1, 1, 2**31, 2**53, 2**63 - 1, 2**63, -(2**63) - 1, 2**64, 10**400),
    *(0.5, -0.0, 1e308, 5e-324, float("inf"), float("nan"), True),
)
_TEXTS: Final = (
    "",
    "\0",
    "\ud800",
    "\udfff\ud800",
    "ä",
    "\u2028",
    "😀",
    "a.b",
    "*",
    "%00",
    "x" * 2000,
)

_LEAVES: Final = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20),
    st.sampled_from(_NUMBERS), st.sampled_from(_TEXTS),
)  # fmt: skip


def json_values(names: Sequence[str], words: Sequence[Any] = ()) -> SearchStrategy[Any]:
    """JSON values, with numbers and texts that databases and languages dislike.

    Args:
        names: Of members that mean something.
        words: Values that mean something.
    """
    known = st.sampled_from([*words, None])
    leaf = known | known | known | _LEAVES
    name = st.sampled_from([*names, "", "\0", "\ud800", "a.b"]) | st.text(max_size=5)
    return st.recursive(
        leaf,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(name, inner, max_size=5),
        max_leaves=12,
    )


def json_near(
    names: Sequence[str], words: Sequence[Any] = (), good: Sequence[Any] = ({},)
) -> SearchStrategy[bytes]:
    """The text of such values, and of some that are as deep as they are long."""
    values = json_values(names, words)
    swapped = st.builds(
        _swapped, st.sampled_from(good), st.lists(st.tuples(st.integers(0, 20), values), max_size=2)
    )
    written = st.builds(_written, swapped | swapped | values, st.booleans())
    texts = [json.dumps(each).encode() for each in good]
    ends = [b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"\\u0000", b"\\ud800", b"1e999", b"-",
            b"null", b"NaN", b'{"a":', b"\xff", b"\xef\xbb\xbf", b"9" * 5000]  # fmt: skip
    near = bytes_near(texts, [*ends, *(json.dumps(name).encode() for name in names)])
    return st.one_of(written, near, written, st.builds(_deep, st.sampled_from(_LONG)))


def _swapped(good: Any, changes: list[tuple[int, Any]]) -> Any:
    """The value with some of the values in it replaced, by their number."""
    for number, value in changes:
        good = _put(good, [number], value)
    return good


def _put(at: Any, left: list[int], value: Any) -> Any:
    left[0] -= 1
    if left[0] == -1:
        return value
    if isinstance(at, dict):
        return {name: _put(each, left, value) for name, each in at.items()}
    return [_put(each, left, value) for each in at] if isinstance(at, list) else at


def _written(value: Any, is_ascii: bool) -> bytes:
    return json.dumps(value, ensure_ascii=is_ascii).encode("utf-8", "surrogatepass")


def _deep(levels: int) -> bytes:
    return b'{"metadata":' + b"[" * (levels // 2) + b"]" * (levels // 2) + b"}"
