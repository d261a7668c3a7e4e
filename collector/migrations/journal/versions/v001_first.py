"""The journal as it began: blocks, watermarks, what was counted and what was set aside."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "001"
down_revision = None
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    _entry()
    _ingest()
    _set_aside()
    _watermark()


def _entry() -> None:
    op.create_table(
        "entry",
        sa.Column("position", SERIAL, autoincrement=True, nullable=False),
        sa.Column("arrived", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=True, comment="null for a tick"),
        sa.Column("site", sa.String(), server_default="", nullable=False),
        sa.Column("agent", sa.String(), server_default="", nullable=False, comment="empty for a tick"),
        sa.Column("epoch", sa.String(), server_default="", nullable=False),
        sa.Column(
            "first", sa.BigInteger(), server_default="0", nullable=False, comment="records below were duplicates"
        ),
        sa.Column("last", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True, comment="the block as received; null for a tick"),
        sa.PrimaryKeyConstraint("position"),
        schema="journal",
        sqlite_autoincrement=True,
    )
    op.create_index("entry_of_agent", "entry", ["agent", "epoch", "last"], unique=False, schema="journal")


def _ingest() -> None:
    op.create_table(
        "ingest",
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), server_default="", nullable=False),
        sa.Column("oldest", sa.BigInteger(), server_default="0", nullable=False, comment="as the agent last said"),
        sa.Column("head", sa.BigInteger(), server_default="0", nullable=False, comment="as the agent last said"),
        sa.Column("heard", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("blocks", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("records", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("duplicates", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("gaps", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lost", sa.BigInteger(), server_default="0", nullable=False, comment="declared lost by the agent"),
        sa.Column("held", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("held_reason", sa.Text(), server_default="", nullable=False, comment="empty when blocks are taken"),
        sa.Column("set_aside", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("agent"),
        schema="journal",
    )


def _set_aside() -> None:
    op.create_table(
        "set_aside",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("arrived", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("agent", sa.String(), server_default="", nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True, comment="null where storing it would break a consent"),
        sa.PrimaryKeyConstraint("id"),
        schema="journal",
        sqlite_autoincrement=True,
    )


def _watermark() -> None:
    op.create_table(
        "watermark",
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False, comment="the last seq committed"),
        sa.Column("chain", sa.LargeBinary(), nullable=False, comment="chained hash of that record, 16 bytes"),
        sa.Column("begun", sa.BigInteger(), nullable=False),
        sa.Column("moved", sa.BigInteger(), nullable=False, comment="when a record was last committed"),
        sa.PrimaryKeyConstraint("agent", "epoch"),
        schema="journal",
    )
