"""Every relational table of the collector, in two databases.

`journal` (blocks, watermarks, what was refused) and `service` (register, tickets, outbox, cursors) are two SQLite files
or two schemas of one PostgreSQL: a large write to one never stalls a commit to the other. Instants are Unix
milliseconds in UTC. Alembic's revisions under `collector/migrations` make these tables; a test compares the two.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

JOURNAL = MetaData(schema="journal")
SERVICE = MetaData(schema="service")

_Serial = BigInteger().with_variant(Integer, "sqlite")

entry = Table(
    "entry",
    JOURNAL,
    Column("position", _Serial, primary_key=True, autoincrement=True),
    Column("arrived", BigInteger, nullable=False),
    Column("shard", Integer, comment="null for a tick"),
    Column("site", String, nullable=False, server_default=""),
    Column("agent", String, nullable=False, server_default="", comment="empty for a tick"),
    Column("epoch", String, nullable=False, server_default=""),
    Column("first", BigInteger, nullable=False, server_default="0", comment="records below were duplicates"),
    Column("last", BigInteger, nullable=False, server_default="0"),
    Column("payload", LargeBinary, comment="the block as received; null for a tick"),
    Column("only", String, nullable=False, server_default="", comment="empty: for every projection"),
    Column("shards", BigInteger, comment="of a tick: a bit for each it attests; null for all"),
    Column("listened", BigInteger, comment="of a tick: milliseconds it attests at most"),
    Index("entry_of_agent", "agent", "epoch", "last"),
    Index("entry_of_shard", "shard", "position"),
    sqlite_autoincrement=True,
)

watermark = Table(
    "watermark",
    JOURNAL,
    Column("agent", String, primary_key=True),
    Column("epoch", String, primary_key=True),
    Column("upto", BigInteger, nullable=False, comment="the last seq committed"),
    Column("chain", LargeBinary, nullable=False, comment="chained hash of that record, 16 bytes"),
    Column("begun", BigInteger, nullable=False),
    Column("moved", BigInteger, nullable=False, comment="when a record was last committed"),
    Column("head", BigInteger, nullable=False, server_default="0", comment="as the agent last said"),
)

ingest = Table(
    "ingest",
    JOURNAL,
    Column("agent", String, primary_key=True),
    Column("epoch", String, nullable=False, server_default=""),
    Column("oldest", BigInteger, nullable=False, server_default="0", comment="as the agent last said"),
    Column("head", BigInteger, nullable=False, server_default="0", comment="as the agent last said"),
    Column("heard", BigInteger, nullable=False, server_default="0"),
    Column("blocks", BigInteger, nullable=False, server_default="0"),
    Column("records", BigInteger, nullable=False, server_default="0"),
    Column("duplicates", BigInteger, nullable=False, server_default="0"),
    Column("gaps", BigInteger, nullable=False, server_default="0"),
    Column("lost", BigInteger, nullable=False, server_default="0", comment="declared lost by the agent"),
    Column("held", BigInteger, nullable=False, server_default="0"),
    Column("held_reason", Text, nullable=False, server_default="", comment="empty when blocks are taken"),
    Column("set_aside", BigInteger, nullable=False, server_default="0"),
    Column("newest", BigInteger, nullable=False, server_default="0", comment="when the last record committed was made"),
)

set_aside = Table(
    "set_aside",
    JOURNAL,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("arrived", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("agent", String, nullable=False, server_default=""),
    Column("reason", String, nullable=False),
    Column("detail", Text, nullable=False),
    Column("size", Integer, nullable=False),
    Column("payload", LargeBinary, comment="null where storing it would break a consent"),
    sqlite_autoincrement=True,
)

site = Table(
    "site",
    SERVICE,
    Column("id", String, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)

agent = Table(
    "agent",
    SERVICE,
    Column("id", String, primary_key=True),
    Column("site", String, ForeignKey("service.site.id"), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("secret", String, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("retired", BigInteger),
    Index("agent_of_site", "site"),
)

trusted_key = Table(
    "trusted_key",
    SERVICE,
    Column("site", String, ForeignKey("service.site.id"), primary_key=True),
    Column("key", String, primary_key=True),
    Column("added", BigInteger, nullable=False),
)

consent = Table(
    "consent",
    SERVICE,
    Column("id", String, primary_key=True),
    Column("site", String, ForeignKey("service.site.id"), nullable=False),
    Column("document", LargeBinary, nullable=False, comment="as signed"),
    Column("added", BigInteger, nullable=False),
    Column("withdrawn", BigInteger),
    Index("consent_of_site", "site"),
)

device = Table(
    "device",
    SERVICE,
    Column("site", String, primary_key=True),
    Column("device", String, primary_key=True),
    Column("agent", String, nullable=False),
    Column("kind", String, nullable=False),
    Column("profile", String, nullable=False),
    Column("inventory", JSON, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False, comment="of a change, not of every poll"),
)

device_event = Table(
    "device_event",
    SERVICE,
    Column("position", BigInteger, primary_key=True, comment="in the journal"),
    Column("rank", Integer, primary_key=True, comment="within its journal entry"),
    Column("site", String, nullable=False),
    Column("device", String, nullable=False),
    Column("t", BigInteger, nullable=False),
    Column("text", JSON, nullable=False),
    Index("device_event_of_device", "site", "device", "position"),
)

unwatched = Table(
    "unwatched",
    SERVICE,
    Column("site", String, primary_key=True),
    Column("device", String, primary_key=True, comment="MAC address, serial or IP address"),
    Column("agent", String, nullable=False),
    Column("text", JSON, nullable=False),
    Column("first_seen", BigInteger, nullable=False),
    Column("last_seen", BigInteger, nullable=False),
)

token = Table(
    "token",
    SERVICE,
    Column("id", String, primary_key=True),
    Column("digest", String, nullable=False, unique=True, comment="SHA-256 of the token"),
    Column("actor", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("revoked", BigInteger),
)

cursor = Table(
    "cursor",
    SERVICE,
    Column("projection", String, primary_key=True),
    Column("position", BigInteger, nullable=False),
)

witness = Table(
    "witness",
    SERVICE,
    Column("projection", String, primary_key=True),
    Column("journal", String, nullable=False, comment="its identity"),
    Column("position", BigInteger, nullable=False, comment="at or before the cursor"),
    Column("arrived", BigInteger, nullable=False, comment="of the entry there"),
)

ticket = Table(
    "ticket",
    SERVICE,
    Column("id", String, primary_key=True, comment="ULID"),
    Column("site", String, nullable=False),
    Column("device", String, nullable=False),
    Column("rule", String, nullable=False, comment="empty for a ticket made by hand"),
    Column("table", String, nullable=False, server_default=""),
    Column("instance", String, nullable=False, server_default=""),
    Column("position", BigInteger, nullable=False, comment="journal position of the opening"),
    Column("state", String, nullable=False),
    Column("severity", String, nullable=False),
    Column("title", JSON, nullable=False),
    Column("advice", JSON, nullable=False),
    Column("reason", JSON, comment="of the opening, then of the last change"),
    Column("recovered", BigInteger, comment="when the condition cleared; null while it holds"),
    Column("assignee", Text, nullable=False, server_default=""),
    Column("acknowledged_by", Text, nullable=False, server_default=""),
    Column("previous", String, ForeignKey("service.ticket.id"), comment="the older ticket of the same fault"),
    Column("occurred_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("closed_at", BigInteger),
    Column("held", String, comment="the maintenance it is held for; null when people are to see it"),
    Column("false_at", BigInteger, comment="when a person called it a false alarm; null when nobody did"),
    Column("false_by", Text, nullable=False, server_default=""),
    Column("false_why", Text, nullable=False, server_default=""),
    Column("ended_at", BigInteger, comment="when a person last ended it; null when nobody has since it was opened"),
    Column("version", String, nullable=False, server_default="", comment="of the rule that spoke last of it"),
    Index("ticket_held", "id", sqlite_where=text("held IS NOT NULL"), postgresql_where=text("held IS NOT NULL")),
    Index("ticket_by_state", "state", "id", "severity", "site", "device", "acknowledged_by"),
    Index("ticket_of_site", "site", "state", "id", "device"),
    Index("ticket_by_rule", "rule", "version", "state", "ended_at", "false_at"),
    Index(
        "ticket_once_per_opening",
        "site",
        "device",
        "rule",
        "instance",
        "position",
        unique=True,
        sqlite_where=text("rule <> ''"),
        postgresql_where=text("rule <> ''"),
    ),
    Index(
        "ticket_one_open",
        "site",
        "device",
        "rule",
        "instance",
        unique=True,
        sqlite_where=text("state <> 'closed' AND rule <> ''"),
        postgresql_where=text("state <> 'closed' AND rule <> ''"),
    ),
)

rule_cost = Table(
    "rule_cost",
    SERVICE,
    Column("rule", String, primary_key=True),
    Column("version", String, nullable=False),
    Column("state_bytes", Integer, nullable=False, comment="per series"),
    Column("series", BigInteger, nullable=False, comment="in its state now"),
    Column("evaluations", BigInteger, nullable=False, comment="since `since`"),
    Column("evaluations_per_second", Float, nullable=False, comment="over the last minute"),
    Column("busy", Float, nullable=False, comment="seconds of evaluation a second, over the last minute"),
    Column("since", BigInteger, nullable=False, comment="when the ingest process began to count"),
    Column("at", BigInteger, nullable=False, comment="when it was noted"),
)

maintenance = Table(
    "maintenance",
    SERVICE,
    Column("id", String, primary_key=True, comment="ULID"),
    Column("site", String, ForeignKey("service.site.id"), nullable=False),
    Column("device", String, nullable=False, server_default="", comment="empty for the whole site"),
    Column("actor", Text, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    Column("begins", BigInteger, nullable=False, comment="event time"),
    Column("ends", BigInteger, nullable=False, comment="event time, not included; moved when somebody ends it early"),
    Column("ended_by", Text, nullable=False, server_default="", comment="who ended it early"),
    Column("extended_by", Text, nullable=False, server_default="", comment="who last moved its end to later"),
    Column("created", BigInteger, nullable=False),
    Column("released", BigInteger, comment="when what was held was let go; null before"),
    Column("seen", BigInteger, comment="journal time at which its end was seen; null before"),
    Index("maintenance_of_site", "site", "ends"),
    Index(
        "maintenance_unsettled",
        "id",
        sqlite_where=text("released IS NULL"),
        postgresql_where=text("released IS NULL"),
    ),
)

held_ticket = Table(
    "held_ticket",
    SERVICE,
    Column("maintenance", String, ForeignKey("service.maintenance.id"), primary_key=True),
    Column("ticket", String, ForeignKey("service.ticket.id"), primary_key=True),
    Column("agent", String, nullable=False, comment="whose backlog must be through before it is let go"),
    Column("turn", String, nullable=False, comment="opened or reopened"),
    Column("occurred_at", BigInteger, nullable=False),
    Column("arrived", BigInteger, nullable=False, comment="of the record that decided it"),
    Column("became", String, nullable=False, server_default="", comment="empty while it is held"),
)

ticket_event = Table(
    "ticket_event",
    SERVICE,
    Column("id", _Serial, primary_key=True, autoincrement=True),
    Column("ticket", String, ForeignKey("service.ticket.id"), nullable=False),
    Column("kind", String, nullable=False),
    Column("actor", Text, nullable=False, comment="a person, or `forewarn`"),
    Column("occurred_at", BigInteger, nullable=False),
    Column("recorded_at", BigInteger, nullable=False),
    Column("position", BigInteger, comment="journal position, null for a person's act"),
    Column("detail", JSON, nullable=False),
    Index("event_of_ticket", "ticket"),
    sqlite_autoincrement=True,
)

outbox = Table(
    "outbox",
    SERVICE,
    Column("id", String, primary_key=True, comment="ULID"),
    Column("ticket", String, ForeignKey("service.ticket.id"), nullable=False),
    Column("channel", String, nullable=False),
    Column("notice", JSON, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("due", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("held_for", String, nullable=False, server_default="", comment="agent whose backlog must be through first"),
    Column("sent", BigInteger),
    Column("failed", BigInteger, comment="given up, with the reason in `why`"),
    Column("why", Text, nullable=False, server_default=""),
    Index(
        "outbox_held",
        "ticket",
        sqlite_where=text("held_for <> '' AND sent IS NULL AND failed IS NULL"),
        postgresql_where=text("held_for <> '' AND sent IS NULL AND failed IS NULL"),
    ),
    Index(
        "outbox_due",
        "due",
        sqlite_where=text("sent IS NULL AND failed IS NULL"),
        postgresql_where=text("sent IS NULL AND failed IS NULL"),
    ),
)
