"""The migrations, as alembic runs them. Rules: docs/migrations.md.

What is here imports no alembic, so that a service can look at its schema's revision without it.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

__all__ = ["REVISIONS", "VERSION_TABLE"]

VERSION_TABLE: Final = "juststorage_version"
"""Where alembic notes the revision: a name of its own, for databases that others migrate too."""


def _revisions() -> tuple[str, ...]:
    names = (entry.name for entry in (files(__package__) / "versions").iterdir())
    return tuple(sorted(name[:4] for name in names if name[:4].isdigit() and name.endswith(".py")))


REVISIONS: Final = _revisions()
"""All revisions, oldest first: the four digits that their files begin with."""
