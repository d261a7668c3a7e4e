"""Of which journal each cursor speaks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "010"
down_revision = "009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "witness",
        sa.Column("projection", sa.String(), nullable=False),
        sa.Column("journal", sa.String(), nullable=False, comment="its identity"),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="at or before the cursor"),
        sa.Column("arrived", sa.BigInteger(), nullable=False, comment="of the entry there"),
        sa.PrimaryKeyConstraint("projection"),
        schema="service",
    )
