"""The state of the rules of one shard, in the database, so that another machine can take the shard up.

The same shape as in files (`collector.evaluation.snapshots`): a manifest by journal position names its parts by the digest of their
content, a part that did not change is not written again, the newest two are kept, and what was changed since it was
written is named and passed over. Everything of one snapshot is one transaction, which proves that the shard is held.

Errors:
    NotKept   it could not be written; the ones before it are untouched
    Fenced    another process has the shard now
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from collector.evaluation.snapshots import KEPT, Manifest, NotKept, Snapshot, digest_of
from collector.shards.leases import limit_idle
from collector.storage.database import StorageError, reading, stated, upsert
from collector.storage.lease_tables import snapshot, snapshot_part
from forewarn.telemetry import Log

log = Log(__name__)

_s, _p = snapshot, snapshot_part


class ShardSnapshots:
    """Implements SnapshotStore; one thread uses it.

    Args:
        journal: the database, PostgreSQL or SQLite.
        shard: whose state.
        prove: makes sure, within the transaction, that the shard is held.
    """

    def __init__(self, journal: Engine, shard: int, prove: Callable[[Connection], None]) -> None:
        self._engine = journal
        self._shard = shard
        self._prove = prove
        self._sound: set[str] = set()
        """Digests of parts that this process wrote or read: one that rotted must be written again."""

    def save(self, position: int, parts: Mapping[str, bytes]) -> None:
        """See SnapshotStore. Raises Fenced as well."""
        named = {name: digest_of(content) for name, content in parts.items()}
        new = {digest: parts[name] for name, digest in named.items() if digest not in self._sound}
        manifest = Manifest.of(position, named)
        row = {"shard": self._shard, "position": position, "parts": manifest.parts, "check": manifest.check}
        try:
            with stated("journal"), self._engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    limit_idle(connection)
                self._prove(connection)
                for digest, content in new.items():
                    upsert(connection, _p, [{"shard": self._shard, "digest": digest, "content": content}])
                upsert(connection, _s, [row])
                needed = self._tidy(connection)
        except StorageError as wrong:
            raise NotKept(str(wrong)) from wrong
        self._sound = (self._sound | set(named.values())) & needed

    def _tidy(self, connection: Connection) -> set[str]:
        """Deletes all but the newest manifests, and parts that none of them names; gives those that are named."""
        mine = sa.select(_s.c.position, _s.c.parts).where(_s.c.shard == self._shard)
        newest = connection.execute(mine.order_by(_s.c.position.desc()).limit(KEPT)).tuples().all()
        needed = {digest for _, parts in newest for digest in _strings(parts.values())}
        old = (_s.c.shard == self._shard, _s.c.position < newest[-1][0])
        connection.execute(sa.delete(_s).where(*old))
        here = sa.select(_p.c.digest).where(_p.c.shard == self._shard)
        gone = [digest for digest in connection.execute(here).scalars() if digest not in needed]
        if gone:
            connection.execute(sa.delete(_p).where(_p.c.shard == self._shard, _p.c.digest.in_(gone)))
        return needed

    def load(self, at_most: int) -> Snapshot | None:
        """See SnapshotStore. Raises StorageError when the database cannot be asked."""
        mine = sa.select(_s).where(_s.c.shard == self._shard, _s.c.position <= at_most).order_by(_s.c.position.desc())
        with stated("journal"), reading(self._engine) as connection:
            for row in connection.execute(mine).mappings().all():
                parts, why = self._parts(connection, Manifest.of(row["position"], row["parts"]), row["check"])
                if not why:
                    self._sound.update(row["parts"].values())
                    return Snapshot(row["position"], parts)
                log.warning("a snapshot of the rules cannot be used", shard=self._shard, why=why)
        return None

    def _parts(self, connection: Connection, manifest: Manifest, check: str) -> tuple[dict[str, bytes], str]:
        if manifest.check != check:
            return {}, "the manifest was changed, or another version wrote it"
        wanted = sa.select(_p.c.digest, _p.c.content).where(
            _p.c.shard == self._shard, _p.c.digest.in_(list(manifest.parts.values()))
        )
        found = {digest: bytes(content) for digest, content in connection.execute(wanted).tuples()}
        for name, digest in manifest.parts.items():
            if digest not in found or digest_of(found[digest]) != digest:
                return {}, f"part `{name}` is missing or was changed"
        return {name: found[digest] for name, digest in manifest.parts.items()}, ""

    def oldest(self) -> int:
        """See SnapshotStore. Raises StorageError when the database cannot be asked."""
        with stated("journal"), reading(self._engine) as connection:
            mine = sa.select(sa.func.min(_s.c.position)).where(_s.c.shard == self._shard)
            return connection.execute(mine).scalar() or 0


def oldest(connection: Connection) -> dict[int, int]:
    """The position of the oldest snapshot kept of each shard that has one."""
    return dict(
        connection.execute(sa.select(_s.c.shard, sa.func.min(_s.c.position)).group_by(_s.c.shard)).tuples().all()
    )


def _strings(values: Iterable[object]) -> Iterable[str]:
    return (str(value) for value in values)
