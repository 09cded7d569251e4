"""What alembic runs: the migrations, on the connection that the migrator gives, or as text."""

from __future__ import annotations

from alembic import context

from juststorage_postgres._migrations import VERSION_TABLE
from juststorage_postgres._schema import metadata

connection = context.config.attributes.get("connection")

context.configure(
    connection=connection,
    dialect_name="postgresql",
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    literal_binds=connection is None,
    output_buffer=context.config.output_buffer,
    transaction_per_migration=False,
)

with context.begin_transaction():
    if connection is not None:
        context.config.attributes["lock"](connection)
    context.run_migrations()
