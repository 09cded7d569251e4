"""ContentHash: the name of bytes."""

from __future__ import annotations

import re
from typing import Final, Self

from juststorage.errors import Invalid

__all__ = ["ContentHash"]

_ALGORITHM: Final = r"[a-z][a-z0-9_]{0,31}"
_FORM: Final = re.compile(rf"({_ALGORITHM}):((?:[0-9a-f]{{2}}){{16,64}})")
_DIGEST_BYTES: Final = {"sha256": 32, "sha512": 64, "blake3": 32}


class ContentHash(str):
    """A digest with its algorithm: `sha256:<64 lower-case hex digits>`.

    The text is the value: it is what clients see, what the database stores and what two hashes are
    compared by. An algorithm unknown to this process still parses (16 to 64 bytes of hex), so that
    data written with another hasher survives a round trip.

    Raises:
        Invalid: The text has another form, or a known algorithm has a digest of another length.
    """

    __slots__ = ()

    def __new__(cls, text: str) -> Self:
        match = _FORM.fullmatch(text)
        if match is None:
            raise Invalid(
                "content hash must be <algorithm>:<lower-case hex>, such as sha256:9f86..."
            )
        size = _DIGEST_BYTES.get(match[1])
        if size is not None and len(match[2]) != 2 * size:
            raise Invalid(
                f"a {match[1]} content hash has {2 * size} hex digits, not {len(match[2])}"
            )
        return super().__new__(cls, text)

    @classmethod
    def of(cls, algorithm: str, digest: bytes) -> Self:
        """Build the hash from a digest that a hasher has just computed."""
        return cls(f"{algorithm}:{digest.hex()}")

    @property
    def algorithm(self) -> str:
        """The part before the colon."""
        return self[: self.index(":")]

    @property
    def hex(self) -> str:
        """The digest in hexadecimal, without the algorithm."""
        return self[self.index(":") + 1 :]

    @property
    def digest(self) -> bytes:
        """The digest as bytes."""
        return bytes.fromhex(self.hex)
