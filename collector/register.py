"""The register: which sites, agents, consents, keys and people this collector knows.

The commands write here, while the collector runs or not; the ingest path looks things up in `known()`, a picture that
is made again only when something changed, at the latest a second later. A consent in the picture was verified: a
trusted key of its site signed exactly this document.

Errors:
    RegisterError   what was asked cannot be done; the text says why and what to do instead
    (and database.StorageError)
"""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection
from ulid import ULID

from collector import broker_files
from collector.storage import tables
from collector.storage.database import Databases, reading, stated
from forewarn.consent import Consent, ConsentError, document, parse, verified
from forewarn.signals import derive
from forewarn.wire import SHARDS

FRESH_SECONDS = 1.0
MISSED_SECONDS = 0.1
"""How old the picture may be when somebody is not found in it."""
COLLECTOR_USER = "collector"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}").fullmatch
_KEY = re.compile(r"[0-9a-f]{64}").fullmatch


class RegisterError(Exception):
    """What was asked of the register cannot be done."""


class Enrolled(NamedTuple):
    """A new agent. Its secret is told here and never again."""

    site: str
    agent: str
    shard: int
    secret: str


@dataclass(frozen=True)
class KnownAgent:
    """An agent as the ingest path needs it."""

    id: str
    site: str
    shard: int
    secret: str = field(repr=False)

    @cached_property
    def ack_key(self) -> str:
        """What its acknowledgements are authenticated with."""
        return derive(self.secret, "ack")


class KnownConsent(NamedTuple):
    """A verified consent, and since when it is withdrawn (Unix milliseconds, None: it is not)."""

    consent: Consent
    withdrawn: int | None


@dataclass(frozen=True)
class Known:
    """One picture of the register. Retired agents, and consents whose signature does not hold, are not in it."""

    agents: dict[str, KnownAgent]
    consents: dict[str, KnownConsent]

    @cached_property
    def of_site(self) -> dict[str, list[KnownConsent]]:
        """The consents by site."""
        sites: dict[str, list[KnownConsent]] = {}
        for known in self.consents.values():
            sites.setdefault(known.consent.site, []).append(known)
        return sites


class Register:
    """Reads and changes the register. Safe to use from several threads.

    Args:
        databases: where it lies (schema `service`).
        now: Unix milliseconds.
        monotonic: seconds that never go back.
    """

    def __init__(
        self,
        databases: Databases,
        *,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = databases.service
        self._now = now
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._known = Known({}, {})
        self._counts: tuple[Any, ...] | None = None
        self._looked = float("-inf")
        self._verified: dict[bytes, Consent | None] = {}

    def add_site(self, site: str, name: str) -> None:
        """Registers a customer's site.

        Raises:
            RegisterError: the id is taken or not a name.
        """
        _named("a site", site)
        with stated("service"), self._engine.begin() as connection:
            if _exists(connection, tables.site, site):
                raise RegisterError(f"there is a site `{site}` already")
            connection.execute(sa.insert(tables.site).values(id=site, name=name, created=self._now()))

    def add_agent(self, site: str, agent: str = "") -> Enrolled:
        """Registers an agent on a site, in the shard of the site's other agents, else in the one that has the fewest.

        Args:
            site: a registered site.
            agent: its id, a new one when empty. It is its user name at the broker as well.

        Raises:
            RegisterError: no such site, or the id is taken or not a name.
        """
        agent = agent or f"a-{str(ULID()).lower()}"
        _named("an agent", agent)
        if agent.startswith(COLLECTOR_USER):
            raise RegisterError(f"`{agent}` is reserved: names that begin with `{COLLECTOR_USER}` are the collector's")
        secret = secrets.token_hex(32)
        with stated("service"), self._engine.begin() as connection:
            _demand_site(connection, site)
            if _exists(connection, tables.agent, agent):
                raise RegisterError(f"there is an agent `{agent}` already")
            shard = _shard_for(connection, site)
            row = {"id": agent, "site": site, "shard": shard, "secret": secret, "created": self._now()}
            connection.execute(sa.insert(tables.agent).values(row))
        return Enrolled(site, agent, shard, secret)

    def retire_agent(self, agent: str) -> None:
        """Takes an agent out of service: its blocks are held from now on.

        Raises:
            RegisterError: no such agent.
        """
        with stated("service"), self._engine.begin() as connection:
            if not _exists(connection, tables.agent, agent):
                raise RegisterError(f"there is no agent `{agent}`")
            changed = sa.update(tables.agent).where(tables.agent.c.id == agent, tables.agent.c.retired.is_(None))
            connection.execute(changed.values(retired=self._now()))

    def add_consent(self, text: bytes, *, key: str = "") -> Consent:
        """Takes a customer's signed consent, after its signature was verified.

        Args:
            text: the document as the customer gave it (JSON).
            key: the customer's public key (64 hexadecimal digits), which is trusted for the site from now on; when
                empty, a key trusted before must have signed.

        Raises:
            ConsentError: the document is unreadable, or no trusted key signed it.
            RegisterError: no such site, the key is no key, or the id stands for another document.
        """
        consent = parse(text)
        if key and not _KEY(key):
            raise RegisterError("a public key is 64 hexadecimal digits, as `forewarn agent consent sign` prints it")
        with stated("service"), self._engine.begin() as connection:
            _demand_site(connection, consent.site)
            trusted = _trusted(connection).get(consent.site, set())
            verified(consent, trusted | ({key} if key else set()), consent.site)
            if key and key not in trusted:
                connection.execute(sa.insert(tables.trusted_key).values(site=consent.site, key=key, added=self._now()))
            self._store(connection, consent)
        return consent

    def _store(self, connection: Connection, consent: Consent) -> None:
        table = tables.consent
        stored = connection.execute(sa.select(table.c.document).where(table.c.id == consent.id)).scalar()
        if stored is None:
            row = {"id": consent.id, "site": consent.site, "document": document(consent), "added": self._now()}
            connection.execute(sa.insert(table).values(row))
        elif parse(bytes(stored)) != consent:
            raise RegisterError(f"consent `{consent.id}` is registered with another text: sign it under a new id")

    def withdraw_consent(self, consent: str) -> None:
        """Notes that a consent was withdrawn: nothing under it is taken from now on.

        Raises:
            RegisterError: no such consent.
        """
        with stated("service"), self._engine.begin() as connection:
            if not _exists(connection, tables.consent, consent):
                raise RegisterError(f"there is no consent `{consent}`")
            table = tables.consent
            changed = sa.update(table).where(table.c.id == consent, table.c.withdrawn.is_(None))
            connection.execute(changed.values(withdrawn=self._now()))

    def add_token(self, actor: str) -> str:
        """Makes a token for the API, told once, that acts in a person's name."""
        if not actor.strip():
            raise RegisterError("a token needs the name of the person who acts with it")
        token = f"fw_{secrets.token_urlsafe(32)}"
        row = {"id": str(ULID()), "digest": token_digest(token), "actor": actor.strip(), "created": self._now()}
        with stated("service"), self._engine.begin() as connection:
            connection.execute(sa.insert(tables.token).values(row))
        return token

    def actor(self, token: str) -> str | None:
        """Whose token this is; None when it is nobody's or was revoked."""
        return self.actor_of(token_digest(token))

    def actor_of(self, digest: str) -> str | None:
        """Whose token has this digest; None when it is nobody's or was revoked."""
        table = tables.token
        mine = sa.select(table.c.actor).where(table.c.digest == digest, table.c.revoked.is_(None))
        with stated("service"), reading(self._engine) as connection:
            return connection.execute(mine).scalar()

    def revoke_token(self, token: str) -> None:
        """Makes a token worthless.

        Raises:
            RegisterError: it is nobody's already.
        """
        table = tables.token
        mine = sa.update(table).where(table.c.digest == token_digest(token), table.c.revoked.is_(None))
        with stated("service"), self._engine.begin() as connection:
            if not connection.execute(mine.values(revoked=self._now())).rowcount:
                raise RegisterError("this token is not known or was revoked before")

    def known(self, *, within: float = FRESH_SECONDS) -> Known:
        """The picture the ingest path works with, at most `within` seconds behind what was committed.

        Raises:
            StorageError: it is older than that and cannot be looked up.
        """
        with self._lock:
            if self._monotonic() - self._looked >= within:
                self._refresh()
                self._looked = self._monotonic()
            return self._known

    def broker_files(self, folder: Path) -> broker_files.BrokerFiles:
        """Writes Mosquitto's password file, access list and a sample configuration for all agents in service.

        Raises:
            OSError: the folder cannot be written.
        """
        table = tables.agent
        with stated("service"), reading(self._engine) as connection:
            rows = connection.execute(sa.select(table.c.id, table.c.secret).where(table.c.retired.is_(None))).all()
        return broker_files.write(folder, {row.id: row.secret for row in rows}, user=COLLECTOR_USER)

    def _refresh(self) -> None:
        with stated("service"), reading(self._engine) as connection:
            counts = tuple(connection.execute(_COUNTS).one())
            if counts == self._counts:
                return
            agents = connection.execute(sa.select(tables.agent).where(tables.agent.c.retired.is_(None))).all()
            consents = connection.execute(sa.select(tables.consent)).all()
            trusted = _trusted(connection)
        found = ((row, self._verify(bytes(row.document), trusted.get(row.site, set()))) for row in consents)
        self._known = Known(
            {row.id: KnownAgent(row.id, row.site, row.shard, row.secret) for row in agents},
            {row.id: KnownConsent(consent, row.withdrawn) for row, consent in found if consent is not None},
        )
        self._counts = counts

    def _verify(self, text: bytes, trusted: set[str]) -> Consent | None:
        """A signature costs 0.1 ms to check: what held once is not checked again while its key is trusted."""
        known = self._verified.get(text)
        if known is not None and known.key in trusted:
            return known
        try:
            consent = parse(text)
            self._verified[text] = verified(consent, trusted, consent.site)
        except ConsentError:
            return None
        return consent


def _count(column: sa.Column[Any]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count(column)).scalar_subquery()


_COUNTS = sa.select(
    _count(tables.agent.c.id),
    _count(tables.agent.c.retired),
    _count(tables.consent.c.id),
    _count(tables.consent.c.withdrawn),
    _count(tables.trusted_key.c.key),
)
"""Rows are only added, retired or withdrawn, never changed: these numbers tell whether anything did."""


def _named(what: str, name: str) -> None:
    if not _NAME(name):
        raise RegisterError(
            f"`{name}` cannot name {what}: letters, digits, `.`, `_` and `-`, at most 63, a letter or digit first"
        )


def _exists(connection: Connection, table: sa.Table, key: str) -> bool:
    return connection.execute(sa.select(table.c.id).where(table.c.id == key)).scalar() is not None


def _demand_site(connection: Connection, site: str) -> None:
    if not _exists(connection, tables.site, site):
        raise RegisterError(f"there is no site `{site}`: register it with `forewarn collector add-site {site} NAME`")


def _shard_for(connection: Connection, site: str) -> int:
    """The shard of the site's other agents, so that one engine sees the whole site; else that with the fewest agents.

    Agents that were retired count: what is known of their devices lies in their shard. The lock keeps two enrolments
    from choosing apart.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(sa.text("LOCK TABLE service.agent IN SHARE ROW EXCLUSIVE MODE"))
    in_service = sa.select(tables.agent.c.shard, sa.func.count()).where(tables.agent.c.retired.is_(None))
    of_site = sa.select(tables.agent.c.shard, sa.func.count()).where(tables.agent.c.site == site)
    home: dict[int, int] = dict(connection.execute(of_site.group_by(tables.agent.c.shard)).tuples().all())
    if home:
        return max(home, key=lambda shard: (home[shard], -shard))
    used: dict[int, int] = dict(connection.execute(in_service.group_by(tables.agent.c.shard)).tuples().all())
    return min(range(SHARDS), key=lambda shard: used.get(shard, 0))


def _trusted(connection: Connection) -> dict[str, set[str]]:
    keys: dict[str, set[str]] = {}
    for row in connection.execute(sa.select(tables.trusted_key)):
        keys.setdefault(row.site, set()).add(row.key)
    return keys


def token_digest(token: str) -> str:
    """What is kept of a token: it proves nothing to who has only this."""
    return hashlib.sha256(token.encode()).hexdigest()
