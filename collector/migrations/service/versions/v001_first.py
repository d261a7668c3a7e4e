"""The service's tables as they began: register, tickets, outbox, cursors."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _cursor()
    _device()
    _site()
    _ticket()
    _ticket_identity()
    _token()
    _agent()
    _consent()
    _outbox()
    _ticket_event()
    _trusted_key()


def _cursor() -> None:
    op.create_table(
        "cursor",
        sa.Column("projection", sa.String(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("projection"),
        schema="service",
    )


def _device() -> None:
    op.create_table(
        "device",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("profile", sa.String(), nullable=False),
        sa.Column("inventory", sa.JSON(), nullable=False),
        sa.Column("first_seen", sa.BigInteger(), nullable=False),
        sa.Column("last_seen", sa.BigInteger(), nullable=False, comment="of a change, not of every poll"),
        sa.PrimaryKeyConstraint("site", "device"),
        schema="service",
    )


def _site() -> None:
    op.create_table(
        "site",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )


def _ticket() -> None:
    op.create_table(
        "ticket",
        sa.Column("id", sa.String(), nullable=False, comment="ULID"),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("device", sa.String(), nullable=False),
        sa.Column("rule", sa.String(), nullable=False, comment="empty for a ticket made by hand"),
        sa.Column("table", sa.String(), server_default="", nullable=False),
        sa.Column("instance", sa.String(), server_default="", nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="journal position of the opening"),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("severity", sa.String(), nullable=False),
        sa.Column("title", sa.JSON(), nullable=False),
        sa.Column("advice", sa.JSON(), nullable=False),
        sa.Column("reason", sa.JSON(), nullable=True, comment="of the opening, then of the last change"),
        sa.Column(
            "recovered", sa.BigInteger(), nullable=True, comment="when the condition cleared; null while it holds"
        ),
        sa.Column("assignee", sa.Text(), server_default="", nullable=False),
        sa.Column("acknowledged_by", sa.Text(), server_default="", nullable=False),
        sa.Column("previous", sa.String(), nullable=True, comment="the older ticket of the same fault"),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["previous"],
            ["service.ticket.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )


def _ticket_identity() -> None:
    op.create_index(
        "ticket_once_per_opening",
        "ticket",
        ["site", "device", "rule", "instance", "position"],
        unique=True,
        schema="service",
        sqlite_where=sa.text("rule <> ''"),
        postgresql_where=sa.text("rule <> ''"),
    )
    op.create_index(
        "ticket_one_open",
        "ticket",
        ["site", "device", "rule", "instance"],
        unique=True,
        schema="service",
        sqlite_where=sa.text("state <> 'closed' AND rule <> ''"),
        postgresql_where=sa.text("state <> 'closed' AND rule <> ''"),
    )


def _token() -> None:
    op.create_table(
        "token",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False, comment="SHA-256 of the token"),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("revoked", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        schema="service",
    )


def _agent() -> None:
    op.create_table(
        "agent",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("secret", sa.String(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("retired", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["site"],
            ["service.site.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )


def _consent() -> None:
    op.create_table(
        "consent",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False, comment="as signed"),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["site"],
            ["service.site.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.String(), nullable=False, comment="ULID"),
        sa.Column("ticket", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("notice", sa.JSON(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column(
            "held_for",
            sa.String(),
            server_default="",
            nullable=False,
            comment="agent whose backlog must be through first",
        ),
        sa.Column("sent", sa.BigInteger(), nullable=True),
        sa.Column("failed", sa.BigInteger(), nullable=True, comment="given up, with the reason in `why`"),
        sa.Column("why", sa.Text(), server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["service.ticket.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
    )
    op.create_index(
        "outbox_due",
        "outbox",
        ["due"],
        unique=False,
        schema="service",
        sqlite_where=sa.text("sent IS NULL AND failed IS NULL"),
        postgresql_where=sa.text("sent IS NULL AND failed IS NULL"),
    )


def _ticket_event() -> None:
    op.create_table(
        "ticket_event",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("ticket", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False, comment="a person, or `forewarn`"),
        sa.Column("occurred_at", sa.BigInteger(), nullable=False),
        sa.Column("recorded_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=True, comment="journal position, null for a person's act"),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["ticket"],
            ["service.ticket.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        schema="service",
        sqlite_autoincrement=True,
    )
    op.create_index("event_of_ticket", "ticket_event", ["ticket"], unique=False, schema="service")


def _trusted_key() -> None:
    op.create_table(
        "trusted_key",
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("added", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["site"],
            ["service.site.id"],
        ),
        sa.PrimaryKeyConstraint("site", "key"),
        schema="service",
    )
