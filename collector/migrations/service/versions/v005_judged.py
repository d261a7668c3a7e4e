"""What a rule's precision is counted from, and what each rule costs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "005"
down_revision = "004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    schema = None if op.get_bind().dialect.name == "sqlite" else "service"
    ended = sa.Column(
        "ended_at", sa.BigInteger, comment="when a person last ended it; null when nobody has since it was opened"
    )
    version = sa.Column(
        "version", sa.String, nullable=False, server_default="", comment="of the rule that spoke last of it"
    )
    for column in (ended, version):
        op.add_column("ticket", column, schema=schema)
    plain: list[sa.ColumnClause[object]] = [sa.column(name) for name in ("id", "state", "version", "ended_at")]
    ticket = sa.table("ticket", *plain, sa.column("reason", sa.JSON), schema=schema)
    told = ticket.c.reason["version"].as_string()
    op.execute(ticket.update().values(version=sa.func.coalesce(told, "")))
    event = sa.table("ticket_event", *map(sa.column, ("ticket", "kind", "actor", "occurred_at")), schema=schema)
    by_people = sa.and_(event.c.kind.in_(["resolved", "closed"]), event.c.actor != "forewarn")
    last = sa.select(sa.func.max(event.c.occurred_at)).where(event.c.ticket == ticket.c.id, by_people)
    op.execute(ticket.update().where(ticket.c.state != "open").values(ended_at=last.scalar_subquery()))
    op.create_index("ticket_by_rule", "ticket", ["rule", "version", "state", "ended_at", "false_at"], schema="service")
    op.create_table(
        "rule_cost",
        sa.Column("rule", sa.String, primary_key=True),
        sa.Column("version", sa.String, nullable=False),
        sa.Column("state_bytes", sa.Integer, nullable=False, comment="per series"),
        sa.Column("series", sa.BigInteger, nullable=False, comment="in its state now"),
        sa.Column("evaluations", sa.BigInteger, nullable=False, comment="since `since`"),
        sa.Column("evaluations_per_second", sa.Float, nullable=False, comment="over the last minute"),
        sa.Column("busy", sa.Float, nullable=False, comment="seconds of evaluation a second, over the last minute"),
        sa.Column("since", sa.BigInteger, nullable=False, comment="when the ingest process began to count"),
        sa.Column("at", sa.BigInteger, nullable=False, comment="when it was noted"),
        schema="service",
    )
