"""Query strings, strictly: a parameter that is not known, or is there twice, is an error.

Form encoding: `+` is a space, `%2B` is a plus. Decoded exactly once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from juststorage.errors import Invalid
from juststorage_api._http.percent import decode

__all__ = ["parse_query", "shown"]

_NONE: Final[Mapping[str, str]] = {}
_SHOWN_LENGTH_MAX: Final = 64


def parse_query(query: bytes, allowed: frozenset[str]) -> Mapping[str, str]:
    """The parameters of a query string.

    Raises:
        Invalid: One is unknown or repeated, or an escape is not UTF-8.
    """
    if not query:
        return _NONE
    parameters: dict[str, str] = {}
    for pair in query.split(b"&"):
        if not pair:
            continue
        raw_name, _, raw_value = pair.partition(b"=")
        try:
            name = decode(raw_name, plus=True)
            value = decode(raw_value, plus=True)
        except ValueError as error:
            raise Invalid(f"the query string is malformed: {error}") from None
        if name not in allowed:
            known = ", ".join(sorted(allowed)) or "none"
            raise Invalid(f"unknown query parameter {shown(name)}; this call knows: {known}")
        if name in parameters:
            raise Invalid(f"the query parameter {name} is repeated")
        parameters[name] = value
    return parameters


def shown(text: str) -> str:
    """A client's text, quoted and of bounded length, for a sentence about it."""
    return ascii(text if len(text) <= _SHOWN_LENGTH_MAX else text[:_SHOWN_LENGTH_MAX] + "...")
