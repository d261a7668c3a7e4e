"""What happened to devices: replaced, other firmware, no SNMP."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "008"
down_revision = "007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "device_event",
        sa.Column("position", sa.BigInteger, primary_key=True, comment="in the journal"),
        sa.Column("rank", sa.Integer, primary_key=True, comment="within its journal entry"),
        sa.Column("site", sa.String, nullable=False),
        sa.Column("device", sa.String, nullable=False),
        sa.Column("t", sa.BigInteger, nullable=False),
        sa.Column("text", sa.JSON, nullable=False),
        schema="service",
    )
    op.create_index("device_event_of_device", "device_event", ["site", "device", "position"], schema="service")
