"""What pages ask of a full-sized service company is found by indexes: tickets by state and by site, agents, consents."""

from __future__ import annotations

from alembic import op

revision = "007"
down_revision = "006"
branch_labels = None
depends_on = None

_INDEXES = {
    "ticket_by_state": ("ticket", ["state", "id", "severity", "site", "device", "acknowledged_by"]),
    "ticket_of_site": ("ticket", ["site", "state", "id", "device"]),
    "agent_of_site": ("agent", ["site"]),
    "consent_of_site": ("consent", ["site"]),
}


def upgrade() -> None:
    for name, (table, columns) in _INDEXES.items():
        op.create_index(name, table, columns, schema="service")
