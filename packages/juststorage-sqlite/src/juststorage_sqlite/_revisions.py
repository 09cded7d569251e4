"""The revisions of the schema that this release knows, oldest first.

A constant rather than a look at the migrations: finding out where a file stands must not import
alembic, which takes longer than everything else at start-up. A test holds the two together.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HEAD", "REVISIONS"]

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006")
HEAD: Final = REVISIONS[-1]
