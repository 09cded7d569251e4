"""How alembic runs our migrations: on the connection that `_migrator` hands it, or as SQL text."""

from __future__ import annotations

from alembic import context

from juststorage_sqlite._schema import metadata

connection = context.config.attributes.get("connection")

if connection is None:
    context.configure(
        dialect_name="sqlite",
        target_metadata=metadata,
        literal_binds=True,
        transactional_ddl=True,
    )
else:
    # SQLite's DDL is transactional; alembic assumes that it is not.
    context.configure(connection=connection, target_metadata=metadata, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
