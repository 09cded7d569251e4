"""Near misses: what someone probably meant."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["near_miss", "one_line"]

_REASON_LENGTH_MAX = 300


def near_miss(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known word that is closest, or nothing."""
    from difflib import get_close_matches

    close = get_close_matches(word.lower(), list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""


def one_line(error: BaseException) -> str:
    """An error as one line of bounded length: its type and its words."""
    words = " ".join(str(error).split())
    text = f"{type(error).__name__}: {words}" if words else type(error).__name__
    return text if len(text) <= _REASON_LENGTH_MAX else text[: _REASON_LENGTH_MAX - 3] + "..."
