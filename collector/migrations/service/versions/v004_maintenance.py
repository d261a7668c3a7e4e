"""Maintenance windows that hold tickets, and marks of false alarms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "004"
down_revision = "003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "maintenance",
        sa.Column("id", sa.String, primary_key=True, comment="ULID"),
        sa.Column("site", sa.String, sa.ForeignKey("service.site.id"), nullable=False),
        sa.Column("device", sa.String, nullable=False, server_default="", comment="empty for the whole site"),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False, server_default=""),
        sa.Column("begins", sa.BigInteger, nullable=False, comment="event time"),
        sa.Column(
            "ends", sa.BigInteger, nullable=False, comment="event time, not included; moved when somebody ends it early"
        ),
        sa.Column("ended_by", sa.Text, nullable=False, server_default="", comment="who ended it early"),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("released", sa.BigInteger, comment="when what was held was let go; null before"),
        schema="service",
    )
    op.create_index("maintenance_of_site", "maintenance", ["site", "ends"], schema="service")
    # SQLAlchemy names the schema of a file away for what it creates, not for what is altered.
    schema = None if op.get_bind().dialect.name == "sqlite" else "service"
    op.add_column(
        "ticket",
        sa.Column("held", sa.String, comment="the maintenance it is held for; null when people are to see it"),
        schema=schema,
    )
    op.add_column(
        "ticket",
        sa.Column("false_at", sa.BigInteger, comment="when a person called it a false alarm; null when nobody did"),
        schema=schema,
    )
    op.add_column("ticket", sa.Column("false_by", sa.Text, nullable=False, server_default=""), schema=schema)
    op.add_column("ticket", sa.Column("false_why", sa.Text, nullable=False, server_default=""), schema=schema)
