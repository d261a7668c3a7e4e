"""Devices that agents found and nobody watches."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "011"
down_revision = "010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unwatched",
        sa.Column("site", sa.String, primary_key=True),
        sa.Column("device", sa.String, primary_key=True, comment="MAC address, serial or IP address"),
        sa.Column("agent", sa.String, nullable=False),
        sa.Column("text", sa.JSON, nullable=False),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        schema="service",
    )
