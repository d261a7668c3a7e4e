"""Runs the revisions of the journal database on the connection that `collector.storage.database` hands over."""

from __future__ import annotations

from alembic import context

from collector.storage.tables import JOURNAL

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=JOURNAL,
    version_table="revision",
    version_table_schema=context.config.attributes["schema"],
)
with context.begin_transaction():
    context.run_migrations()
