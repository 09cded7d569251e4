"""`juststorage`, but blind: no access line, no metrics, no request ids. Only for comparison."""

from __future__ import annotations

from typing import Any

from juststorage.cli import main

__all__ = ["blind"]


class _NoFields:
    """In the place of the context variable that holds the fields of a request's lines."""

    def get(self) -> dict[str, Any]:
        return {}

    def set(self, fields: Any) -> None:
        pass

    def reset(self, token: Any) -> None:
        pass


def blind() -> None:
    """Take out of the front what `benchmarks/seen` measures."""
    from juststorage_api import _front

    class Nothing:
        def __init__(self, *_: Any) -> None:
            pass

        def write(self, *_: Any) -> None:
            pass

        def count(self, *_: Any) -> None:
            pass

        def choose(self, offered: bytes | None) -> bytes:
            return b"none"

    _front.AccessLog = Nothing  # type: ignore[assignment,misc]
    _front.HttpMeters = Nothing  # type: ignore[assignment,misc]
    _front.RequestIds = Nothing  # type: ignore[assignment,misc]
    _front.log_fields = _NoFields()  # type: ignore[assignment]


if __name__ == "__main__":
    blind()
    main()
