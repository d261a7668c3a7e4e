"""Which ticket a maintenance holds or held, and what became of it; what is not settled is found by small indexes."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "006"
down_revision = "005"
branch_labels = None
depends_on = None

_UNSETTLED = "released IS NULL"
_HELD = "held IS NOT NULL"


def upgrade() -> None:
    schema = None if op.get_bind().dialect.name == "sqlite" else "service"
    seen = sa.Column("seen", sa.BigInteger, comment="journal time at which its end was seen; null before")
    op.add_column("maintenance", seen, schema=schema)
    op.create_table(
        "held_ticket",
        sa.Column("maintenance", sa.String, sa.ForeignKey("service.maintenance.id"), primary_key=True),
        sa.Column("ticket", sa.String, sa.ForeignKey("service.ticket.id"), primary_key=True),
        sa.Column("agent", sa.String, nullable=False, comment="whose backlog must be through before it is let go"),
        sa.Column("turn", sa.String, nullable=False, comment="opened or reopened"),
        sa.Column("occurred_at", sa.BigInteger, nullable=False),
        sa.Column("arrived", sa.BigInteger, nullable=False, comment="of the record that decided it"),
        sa.Column("became", sa.String, nullable=False, server_default="", comment="empty while it is held"),
        schema="service",
    )
    op.create_index(
        "maintenance_unsettled",
        "maintenance",
        ["id"],
        schema="service",
        sqlite_where=sa.text(_UNSETTLED),
        postgresql_where=sa.text(_UNSETTLED),
    )
    op.create_index(
        "ticket_held",
        "ticket",
        ["id"],
        schema="service",
        sqlite_where=sa.text(_HELD),
        postgresql_where=sa.text(_HELD),
    )
