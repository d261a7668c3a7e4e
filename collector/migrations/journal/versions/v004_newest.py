"""How old the newest committed record of each agent is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "004"
down_revision = "003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = None if op.get_bind().dialect.name == "sqlite" else "journal"
    newest = sa.Column(
        "newest", sa.BigInteger(), server_default="0", nullable=False, comment="when the last record committed was made"
    )
    op.add_column("ingest", newest, schema=schema)
