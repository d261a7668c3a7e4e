"""What a person may set in `collector.yaml`; the commented example is made from these structs.

Every key can be given by the environment as well: `FOREWARN_COLLECTOR__KEY` over `key:`,
`FOREWARN_COLLECTOR__SECTION__KEY` over `section: {key: }`; every secret by file, so that none needs to stand in the YAML. Paths that are not absolute count from the working folder.

Errors:
    forewarn.settings.SettingError   with file, line, column and what to write instead, for everything found
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from collector.shard_names import parsed
from forewarn.bus import Broker
from forewarn.sample import STANDS
from forewarn.settings import Duration, Secret, Size, read_file
from forewarn.telemetry import Level

ENVIRONMENT = "FOREWARN_COLLECTOR__"
SHORTEST_LEASE = 1.0
_HOUR = 3600.0
_DAY = 86400.0


def secret(given: Secret | None, file: Path | None) -> str | None:
    """The secret itself, from the setting or its file (a trailing newline is not part of it).

    Raises:
        OSError: the file went away since the settings were read.
    """
    if given is not None:
        return given.reveal()
    return file.read_text(encoding="utf-8").strip() if file is not None else None


def _one_of(key: str, given: Secret | None, file: Path | None) -> None:
    if given is not None and file is not None:
        raise ValueError(f"{key}_file", f"`{key}` and `{key}_file` are both given, one is enough")
    try:
        empty = secret(given, file) == ""
    except (OSError, UnicodeDecodeError) as wrong:
        why = wrong.strerror if isinstance(wrong, OSError) else "not UTF-8 text"
        raise ValueError(f"{key}_file", f"`{key}_file`: {file} cannot be read: {why}") from wrong
    if empty:
        at = key if file is None else f"{key}_file"
        raise ValueError(at, f"`{at}` is empty")


def _web_address(key: str, text: str) -> None:
    if not text.startswith(("http://", "https://")):
        raise ValueError(key, f"`{key}` is an address like https://host/path, not `{text}`")


class Role(StrEnum):
    """Which part of a collector a process runs."""

    ALL = "all"
    INGEST = "ingest"
    WEB = "web"

    @property
    def takes_in(self) -> bool:
        """Whether it takes blocks in and evaluates them."""
        return self is not Role.WEB

    @property
    def serves(self) -> bool:
        """Whether it serves the API beyond health and metrics."""
        return self is not Role.INGEST


class Database(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where journal and register are kept; nothing given means two SQLite files in the data folder."""

    url: Annotated[
        Secret | None,
        Meta(
            description="Address of a PostgreSQL database; without it, SQLite files in `folder`.",
            examples=["postgresql://forewarn:...@127.0.0.1/forewarn"],
        ),
    ] = None
    url_file: Annotated[
        Path | None, Meta(description="A file that holds the address instead.", examples=["/run/secrets/database_url"])
    ] = None

    def __post_init__(self) -> None:
        _one_of("url", self.url, self.url_file)
        address = self.address()
        if address is not None and not address.startswith(("postgresql://", "postgresql+psycopg://")):
            key = "url" if self.url else "url_file"
            raise ValueError(key, f"`{key}` is an address like postgresql://user:password@host/name")

    def address(self) -> str | None:
        """The PostgreSQL address for SQLAlchemy, or None for SQLite."""
        address = secret(self.url, self.url_file)
        return None if address is None else address.replace("postgresql://", "postgresql+psycopg://", 1)


class Duckdb(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The embedded series store."""

    memory: Annotated[Size, Meta(description="Memory DuckDB may use.")] = Size(512 * 1024**2)
    threads: Annotated[int, Meta(ge=1, description="Threads DuckDB may use.")] = 2
    flush: Annotated[Duration, Meta(description="Values are written together at this interval.")] = Duration(1.0)


class Influxdb(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An InfluxDB (1.8, 2.x or 3) that Grafana can read as well."""

    url: Annotated[str, Meta(description="Where it listens.", examples=["http://127.0.0.1:8086"])]
    bucket: Annotated[str, Meta(description="Bucket, or database in InfluxDB 1.x.")] = "forewarn"
    org: Annotated[str, Meta(description="Organisation in InfluxDB 2.x, `-` elsewhere.")] = "-"
    token: Annotated[Secret | None, Meta(description="Token; `user:password` in InfluxDB 1.x.", examples=["..."])] = (
        None
    )
    token_file: Annotated[
        Path | None, Meta(description="A file that holds the token instead.", examples=["/run/secrets/influxdb_token"])
    ] = None
    timeout: Annotated[Duration, Meta(description="A request that takes longer is tried again.")] = Duration(10.0)

    def __post_init__(self) -> None:
        _web_address("url", self.url)
        _one_of("token", self.token, self.token_file)

    def access(self) -> str:
        """The token, empty when none is set."""
        return secret(self.token, self.token_file) or ""


class Series(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where values are kept."""

    store: Annotated[
        Literal["duckdb", "influxdb"],
        Meta(description="`duckdb` is embedded; `influxdb` serves Grafana and more than one collector."),
    ] = "duckdb"
    keep: Annotated[Duration, Meta(description="Values older than this are dropped, a day at a time.")] = Duration(
        400 * _DAY
    )
    duckdb: Annotated[Duckdb, Meta(description="With `store: duckdb`.")] = Duckdb()
    influxdb: Annotated[Influxdb | None, Meta(description="With `store: influxdb`.")] = None

    def __post_init__(self) -> None:
        if self.store == "influxdb" and self.influxdb is None:
            raise ValueError("store", "`store: influxdb` needs the section `influxdb` with its `url`")


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The record of what was taken in."""

    keep: Annotated[
        Duration, Meta(description="Blocks are kept at least this long, and until every projection has them.")
    ] = Duration(7 * _DAY)
    queue: Annotated[
        Size, Meta(description="Bytes that may wait to be committed; beyond it the broker is made to wait.")
    ] = Size(32 * 1024**2)
    ring: Annotated[Size, Meta(description="Memory for blocks shared by readers at the head of the journal.")] = Size(
        64 * 1024**2
    )
    limit: Annotated[
        Size,
        Meta(
            description="Room on disk. Near it blocks are not kept for `keep`, only until every projection has them; "
            "at it agents are held, and keep what they have."
        ),
    ] = Size(50 * 1024**3)
    floor: Annotated[
        Size, Meta(description="Free room to leave on the disk of a SQLite journal, for tickets and series.")
    ] = Size(256 * 1024**2)


class Rules(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which rules are evaluated."""

    library: Annotated[bool, Meta(description="Whether the rules that ship with forewarn are used.")] = True
    folders: Annotated[
        list[Path], Meta(description="Folders with rules of your own.", examples=[["/etc/forewarn/rules"]])
    ] = []
    snapshot: Annotated[
        Duration, Meta(description="How often the state of the rules is written to disk (a restart replays the rest).")
    ] = Duration(60.0)


class Api(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where people and programs ask."""

    host: Annotated[
        str, Meta(description="Address to listen on. Put TLS in front of it before you open it to others.")
    ] = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8080


class Console(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The pages for people, on the address of the API."""

    enabled: Annotated[bool, Meta(description="Whether there is a console.")] = True
    language: Annotated[
        Literal["auto", "zh", "en"], Meta(description="For who has chosen none; `auto` asks the browser.")
    ] = "auto"


class Smtp(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A mail server that takes our notices."""

    host: Annotated[str, Meta(description="Name or address of the mail server.", examples=["mail.example.com"])]
    sender: Annotated[str, Meta(description="From whom.", examples=["forewarn@example.com"])]
    to: Annotated[list[str], Meta(description="To whom.", examples=[["duty@example.com"]])]
    port: Annotated[int, Meta(ge=0, le=65535, description="Usually 587 with starttls, 465 with tls.")] = 587
    security: Annotated[
        Literal["starttls", "tls", "none"], Meta(description="`none` only inside a network you trust.")
    ] = "starttls"
    ca_file: Annotated[
        Path | None, Meta(description="A CA to trust beside those of the system.", examples=["/etc/forewarn/ca.pem"])
    ] = None
    user: Annotated[str, Meta(description="Empty: no login.")] = ""
    password: Annotated[Secret | None, Meta(description="Its password.", examples=["..."])] = None
    password_file: Annotated[
        Path | None, Meta(description="A file that holds it instead.", examples=["/run/secrets/smtp_password"])
    ] = None
    timeout: Annotated[Duration, Meta(description="A delivery that takes longer is tried again.")] = Duration(20.0)

    def __post_init__(self) -> None:
        _one_of("password", self.password, self.password_file)
        if not self.to:
            raise ValueError("to", "`to` names at least one address")

    def login(self) -> str:
        """The password, empty when none is set."""
        return secret(self.password, self.password_file) or ""


class Webhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An HTTP receiver of our notices, signed after the Standard Webhooks specification."""

    url: Annotated[str, Meta(description="Where notices are posted.", examples=["https://hooks.example.com/forewarn"])]
    secret: Annotated[
        Secret | None,
        Meta(
            description="Key of the HMAC-SHA-256 signature, or give `secret_file`.",
            examples=["..."],
            extra={STANDS: True},
        ),
    ] = None
    secret_file: Annotated[
        Path | None, Meta(description="A file that holds it instead.", examples=["/run/secrets/webhook_secret"])
    ] = None
    timeout: Annotated[Duration, Meta(description="A delivery that takes longer is tried again.")] = Duration(10.0)

    def __post_init__(self) -> None:
        _web_address("url", self.url)
        _one_of("secret", self.secret, self.secret_file)
        if self.secret is None and self.secret_file is None:
            raise ValueError("secret", "`secret` or `secret_file` is missing: an unsigned notice proves nothing")

    def key(self) -> str:
        """The signing key."""
        return secret(self.secret, self.secret_file) or ""


class Notices(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whom tickets are told to; each channel given gets every notice."""

    smtp: Annotated[Smtp | None, Meta(description="By mail.")] = None
    webhook: Annotated[Webhook | None, Meta(description="By HTTP.")] = None


class Log(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is written to the log."""

    level: Annotated[Level, Meta(description="From which level on.")] = "info"


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole of `collector.yaml`."""

    folder: Annotated[
        Path,
        Meta(description="Where the collector keeps its files; made when missing.", examples=["/var/lib/forewarn"]),
    ]
    role: Annotated[
        Role,
        Meta(description="`all`, or one of `ingest` and `web` in several processes (needs PostgreSQL and InfluxDB)."),
    ] = Role.ALL
    shards: Annotated[
        str,
        Meta(
            description="With `role: ingest`: `auto` shares the 64 shards evenly, `00-1f,3c` takes these and no other."
        ),
    ] = "auto"
    lease: Annotated[
        Duration,
        Meta(description="With `role: ingest`: how long a silent process keeps its shards; the same in every process."),
    ] = Duration(15.0)
    broker: Annotated[Broker, Meta(description="The MQTT broker that agents publish to.")]
    database: Annotated[Database, Meta(description="Journal, register and tickets.")] = Database()
    series: Annotated[Series, Meta(description="The values themselves.")] = Series()
    journal: Annotated[Journal, Meta(description="What was taken in, as it was received.")] = Journal()
    rules: Annotated[Rules, Meta(description="What is a fault, and what will become one.")] = Rules()
    api: Annotated[Api, Meta(description="The HTTP API, health and metrics.")] = Api()
    console: Annotated[Console, Meta(description="The pages for people.")] = Console()
    notices: Annotated[Notices, Meta(description="Who is told of a ticket.")] = Notices()
    log: Annotated[Log, Meta(description="The log goes to standard error.")] = Log()

    def __post_init__(self) -> None:
        try:
            parsed(self.shards)
        except ValueError as wrong:
            raise ValueError("shards", f"`shards`: {wrong}") from wrong
        if self.lease < SHORTEST_LEASE:
            raise ValueError("lease", f"`lease` is {SHORTEST_LEASE:g} s at least")
        if self.role is Role.ALL:
            return
        missing = [] if self.database.address() else ["PostgreSQL (`database.url`)"]
        missing += [] if self.series.store == "influxdb" else ["InfluxDB (`series.store: influxdb`)"]
        if missing:
            raise ValueError(
                "role",
                f"`role: {self.role}` needs {' and '.join(missing)}: "
                "SQLite and DuckDB files belong to one process, which runs `role: all`",
            )


def load(path: Path, env: Mapping[str, str] | None = None) -> Settings:
    """Reads `collector.yaml`.

    Raises:
        SettingError: with every mistake found.
    """
    return read_file(Settings, path, env=env, prefix=ENVIRONMENT)
