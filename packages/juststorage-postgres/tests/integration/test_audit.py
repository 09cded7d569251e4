"""The audit table in PostgreSQL: nobody rewrites it, and nobody pays for it unasked."""

from __future__ import annotations

import asyncpg
import pytest

from juststorage.ports import MetadataStore
from juststorage.testing import make_content, make_intent, store_object

INSERT = """
INSERT INTO audit_events (at, action, target, details)
VALUES (now(), 'object.created', 'x', '{}')"""


@pytest.mark.parametrize(
    "statement", ["UPDATE audit_events SET subject = 'me'", "DELETE FROM audit_events"]
)
async def test_the_table_is_append_only(raw: asyncpg.Connection, statement: str) -> None:
    """Rows stay as they were recorded, for whoever connects."""
    await raw.execute(INSERT)
    with pytest.raises(asyncpg.RaiseError, match="append-only"):
        await raw.execute(statement)
    assert await raw.fetchval("SELECT count(*) FROM audit_events WHERE subject IS NULL") == 1


async def test_an_actor_does_not_outlive_its_transaction(raw: asyncpg.Connection) -> None:
    """On a connection that goes back to a pool nobody acts in the last one's name."""
    async with raw.transaction():
        await raw.execute(
            "SELECT set_config('juststorage.actor', '{\"subject\": \"alice\"}', true)"
        )
    await raw.execute(
        "INSERT INTO api_keys (id, name, prefix, hashed, scopes, created_at, is_active)"
        " VALUES ('k', 'n', 'p', 'h', '{}', now(), true)"
    )
    assert await raw.fetchval("SELECT count(*) FROM audit_events") == 0


async def test_without_the_table_writes_are_gathered(
    store: MetadataStore, raw: asyncpg.Connection
) -> None:
    """A store that was not asked for it records nothing."""
    await store_object(store, make_intent(), make_content("x"))
    assert await raw.fetchval("SELECT count(*) FROM audit_events") == 0
