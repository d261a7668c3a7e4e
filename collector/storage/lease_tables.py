"""The tables of the journal by which several ingest processes share its shards; see `tables` and `leases`."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, Column, Integer, LargeBinary, String, Table

from collector.storage.tables import JOURNAL

member = Table(
    "member",
    JOURNAL,
    Column("name", String, primary_key=True, comment="one run of one process"),
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("shards", String, nullable=False, comment="what it was told to take: auto, or a list"),
    Column("began", BigInteger, nullable=False, comment="by the database's clock, as all times here"),
    Column("until", BigInteger, nullable=False, comment="alive before"),
)

lease = Table(
    "lease",
    JOURNAL,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("owner", String, nullable=False, server_default="", comment="a member; empty: given back"),
    Column("fence", BigInteger, nullable=False, server_default="0", comment="rises with every owner"),
    Column("until", BigInteger, nullable=False, server_default="0"),
)

snapshot = Table(
    "snapshot",
    JOURNAL,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("parts", JSON, nullable=False, comment="name to digest"),
    Column("check", String, nullable=False, comment="digest of all else in this row"),
)

snapshot_part = Table(
    "snapshot_part",
    JOURNAL,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("digest", String, primary_key=True),
    Column("content", LargeBinary, nullable=False),
)
