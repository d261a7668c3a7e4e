"""Finds what is held of a ticket without reading every notice ever sent."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "003"
down_revision = "002"
branch_labels = None
depends_on = None

_HELD = "held_for <> '' AND sent IS NULL AND failed IS NULL"


def upgrade() -> None:
    op.create_index(
        "outbox_held",
        "outbox",
        ["ticket"],
        schema="service",
        sqlite_where=sa.text(_HELD),
        postgresql_where=sa.text(_HELD),
    )
