"""The tables of the journal that say what is missing, what could not be applied, and who is there; see `tables`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from collector.storage.tables import JOURNAL

_Serial = BigInteger().with_variant(Integer, "sqlite")


def _count(name: str, comment: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0", comment=comment)


proof = Table(
    "proof",
    JOURNAL,
    Column("agent", String, primary_key=True),
    Column("epoch", String, primary_key=True),
    Column("last", BigInteger, primary_key=True, comment="the last record the manifest speaks of"),
    Column("first", BigInteger, nullable=False),
    Column("made", BigInteger, nullable=False, comment="by the agent's clock"),
    Column("arrived", BigInteger, nullable=False),
    _count("records", "as the agent counted them, lost ones not among them"),
    _count("committed"),
    _count("lost", "declared"),
    _count("set_aside"),
    _count("missing", "neither committed nor declared nor set aside"),
    Column("chain", LargeBinary, nullable=False, comment="as the manifest states it at `last`"),
    Column("verdict", String, nullable=False),
    Index("proof_of_agent", "agent", "arrived"),
    Index("proof_by_age", "arrived"),
)

hole = Table(
    "hole",
    JOURNAL,
    Column("agent", String, primary_key=True),
    Column("epoch", String, primary_key=True),
    Column("first", BigInteger, primary_key=True),
    Column("last", BigInteger, nullable=False, comment="0: to the end of the epoch"),
    Column("cause", String, nullable=False, comment="lost, moved, set_aside or missing"),
    Column("why", Text, nullable=False, server_default=""),
    Column("arrived", BigInteger, nullable=False),
    Index("hole_by_age", "arrived"),
)

dead_letter = Table(
    "dead_letter",
    JOURNAL,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("projection", String, nullable=False, comment="what could not take it"),
    Column("position", BigInteger, nullable=False, comment="of the journal entry"),
    Column("noted", BigInteger, nullable=False),
    Column("arrived", BigInteger, nullable=False),
    Column("shard", Integer),
    Column("site", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("epoch", String, nullable=False),
    Column("first", BigInteger, nullable=False),
    Column("last", BigInteger, nullable=False),
    Column("reason", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("payload", LargeBinary, comment="as received; null once it is dropped"),
    Column("state", String, nullable=False, server_default="waiting"),
    Column("again", BigInteger, comment="the position it was given again under"),
    UniqueConstraint("projection", "position", name="dead_letter_once"),
    sqlite_autoincrement=True,
)

presence = Table(
    "presence",
    JOURNAL,
    Column("agent", String, primary_key=True),
    Column("state", String, nullable=False),
    Column("epoch", String, nullable=False),
    Column("boot", String, nullable=False),
    Column("conn", BigInteger, nullable=False, comment="connections the agent has counted"),
    Column("why", Text, nullable=False, server_default=""),
    Column("heard", BigInteger, nullable=False),
    Column("promised", BigInteger, nullable=False, server_default="0", comment="last of its newest manifest"),
)

identity = Table(
    "identity",
    JOURNAL,
    Column("id", String, primary_key=True, comment="ULID, made with the journal"),
)
