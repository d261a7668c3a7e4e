"""What proves that nothing is missing, what could not be applied, presence, and whose journal this is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "002"
down_revision = "001"
branch_labels = None
depends_on = None

SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    schema = None if op.get_bind().dialect.name == "sqlite" else "journal"
    only = sa.Column("only", sa.String(), server_default="", nullable=False, comment="empty: for every projection")
    op.add_column("entry", only, schema=schema)
    head = sa.Column("head", sa.BigInteger(), server_default="0", nullable=False, comment="as the agent last said")
    op.add_column("watermark", head, schema=schema)
    _proof()
    _hole()
    _dead_letter()
    _presence()
    _identity()


def _count(name: str, comment: str | None = None) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), server_default="0", nullable=False, comment=comment)


def _proof() -> None:
    op.create_table(
        "proof",
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="the last record the manifest speaks of"),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("made", sa.BigInteger(), nullable=False, comment="by the agent's clock"),
        sa.Column("arrived", sa.BigInteger(), nullable=False),
        _count("records", "as the agent counted them, lost ones not among them"),
        _count("committed"),
        _count("lost", "declared"),
        _count("set_aside"),
        _count("missing", "neither committed nor declared nor set aside"),
        sa.Column("chain", sa.LargeBinary(), nullable=False, comment="as the manifest states it at `last`"),
        sa.Column("verdict", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "epoch", "last"),
        schema="journal",
    )
    op.create_index("proof_of_agent", "proof", ["agent", "arrived"], unique=False, schema="journal")
    op.create_index("proof_by_age", "proof", ["arrived"], unique=False, schema="journal")


def _hole() -> None:
    op.create_table(
        "hole",
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False, comment="0: to the end of the epoch"),
        sa.Column("cause", sa.String(), nullable=False, comment="lost, moved, set_aside or missing"),
        sa.Column("why", sa.Text(), nullable=False, server_default=""),
        sa.Column("arrived", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("agent", "epoch", "first"),
        schema="journal",
    )
    op.create_index("hole_by_age", "hole", ["arrived"], unique=False, schema="journal")


def _dead_letter() -> None:
    op.create_table(
        "dead_letter",
        sa.Column("id", SERIAL, autoincrement=True, nullable=False),
        sa.Column("projection", sa.String(), nullable=False, comment="what could not take it"),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="of the journal entry"),
        sa.Column("noted", sa.BigInteger(), nullable=False),
        sa.Column("arrived", sa.BigInteger(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=True),
        sa.Column("site", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("last", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=True, comment="as received; null once it is dropped"),
        sa.Column("state", sa.String(), server_default="waiting", nullable=False),
        sa.Column("again", sa.BigInteger(), nullable=True, comment="the position it was given again under"),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("projection", "position", name="dead_letter_once"),
        schema="journal",
        sqlite_autoincrement=True,
    )


def _presence() -> None:
    op.create_table(
        "presence",
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("epoch", sa.String(), nullable=False),
        sa.Column("boot", sa.String(), nullable=False),
        sa.Column("conn", sa.BigInteger(), nullable=False, comment="connections the agent has counted"),
        sa.Column("why", sa.Text(), nullable=False, server_default=""),
        sa.Column("heard", sa.BigInteger(), nullable=False),
        sa.Column(
            "promised", sa.BigInteger(), server_default="0", nullable=False, comment="last of its newest manifest"
        ),
        sa.PrimaryKeyConstraint("agent"),
        schema="journal",
    )


def _identity() -> None:
    op.create_table(
        "identity",
        sa.Column("id", sa.String(), nullable=False, comment="ULID, made with the journal"),
        sa.PrimaryKeyConstraint("id"),
        schema="journal",
    )
