"""Secret: an option's value that is never shown."""

from __future__ import annotations

from typing import Any

__all__ = ["Secret"]


class Secret:
    """Text from configuration that must not reach a log, an error or a listing.

    As an option type it accepts a string, or a table `{file = "/path"}` whose file's content is
    read at start-up (one trailing newline is dropped). `reveal` is the only way to the text.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself; call it where it is used, keep it nowhere."""
        return self._text

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash((Secret, self._text))

    def __reduce__(self) -> Any:
        raise TypeError("a Secret is not serialized")
