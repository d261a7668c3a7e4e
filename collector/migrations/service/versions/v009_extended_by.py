"""Who last extended a maintenance."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "009"
down_revision = "008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = None if op.get_bind().dialect.name == "sqlite" else "service"
    who = sa.Column(
        "extended_by", sa.Text, nullable=False, server_default="", comment="who last moved its end to later"
    )
    op.add_column("maintenance", who, schema=schema)
