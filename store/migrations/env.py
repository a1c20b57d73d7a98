"""How Alembic runs the revisions: on the connection, and in the transaction, that `store.migrate` gives it."""

from __future__ import annotations

from alembic import context

from store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"], target_metadata=METADATA, transactional_ddl=True
)
with context.begin_transaction():
    context.run_migrations()
