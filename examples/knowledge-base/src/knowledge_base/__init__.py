"""Articles of a team, each with a title, kept in JustStorage."""

from __future__ import annotations

from knowledge_base._articles import Article, Articles, Conflict

__all__ = ["Article", "Articles", "Conflict"]
