"""What several ingest processes need: leases, the shards a tick speaks for, the state of the rules by shard."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "003"
down_revision = "002"
branch_labels = None
depends_on = None

_SHARDS = 64


def upgrade() -> None:
    schema = None if op.get_bind().dialect.name == "sqlite" else "journal"
    shards = sa.Column("shards", sa.BigInteger(), comment="of a tick: a bit for each it attests; null for all")
    listened = sa.Column("listened", sa.BigInteger(), comment="of a tick: milliseconds it attests at most")
    op.add_column("entry", shards, schema=schema)
    op.add_column("entry", listened, schema=schema)
    op.create_index("entry_of_shard", "entry", ["shard", "position"], unique=False, schema=schema)
    _member()
    _lease()
    _snapshot()


def _member() -> None:
    op.create_table(
        "member",
        sa.Column("name", sa.String(), nullable=False, comment="one run of one process"),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("shards", sa.String(), nullable=False, comment="what it was told to take: auto, or a list"),
        sa.Column("began", sa.BigInteger(), nullable=False, comment="by the database's clock, as all times here"),
        sa.Column("until", sa.BigInteger(), nullable=False, comment="alive before"),
        sa.PrimaryKeyConstraint("name"),
        schema="journal",
    )


def _lease() -> None:
    lease = op.create_table(
        "lease",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.String(), server_default="", nullable=False, comment="a member; empty: given back"),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False, comment="rises with every owner"),
        sa.Column("until", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("shard"),
        schema="journal",
    )
    op.bulk_insert(lease, [{"shard": shard} for shard in range(_SHARDS)])


def _snapshot() -> None:
    op.create_table(
        "snapshot",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("parts", sa.JSON(), nullable=False, comment="name to digest"),
        sa.Column("check", sa.String(), nullable=False, comment="digest of all else in this row"),
        sa.PrimaryKeyConstraint("shard", "position"),
        schema="journal",
    )
    op.create_table(
        "snapshot_part",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "digest"),
        schema="journal",
    )
