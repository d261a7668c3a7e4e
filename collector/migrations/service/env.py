"""Runs the revisions of the service database on the connection that `collector.storage.database` hands over."""

from __future__ import annotations

from alembic import context

from collector.storage.tables import SERVICE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=SERVICE,
    version_table="revision",
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()
