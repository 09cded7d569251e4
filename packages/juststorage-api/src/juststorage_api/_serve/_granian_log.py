"""Granian's log lines, as part of ours."""

from __future__ import annotations

import logging

__all__ = ["quiet_granian"]

_EXPERIMENTAL = "Embedded server is experimental!"


class _NotNews(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return record.getMessage() != _EXPERIMENTAL


def quiet_granian() -> None:
    """Let Granian's warnings and errors through to our handlers, but not its note on embedding.

    That note is about its Python interface, which our tests pin down; to an operator it says
    nothing.
    """
    logger = logging.getLogger("_granian")
    logger.filters = [each for each in logger.filters if not isinstance(each, _NotNews)]
    logger.addFilter(_NotNews())
