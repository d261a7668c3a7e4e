"""The tables of the DuckDB file: rows by day, the catalogue, the cursor.

Rows lie in one table per UTC day. A day that is over is written again in the order of series and time, under a new
name, a stretch of series at a time; the old table goes only when the new one has as many rows. A row that comes late
marks its day for another pass. Rows far from the time they arrived (a clock that is wrong by days) lie in one table of
their own, so that a mad clock cannot make a table for every day of a century.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt

from collector.series.catalogue import Added, Catalogue, Face

DAY = 86_400_000
FAR = -1
"""The number of the table for rows far from their arrival."""
_SORT_ROWS = 2_000_000
_COLUMNS = (
    "series INTEGER USING COMPRESSION bitpacking, t BIGINT USING COMPRESSION rle, value DOUBLE USING COMPRESSION alp"
)
"""A day as it is written: named codecs cost a quarter less than letting DuckDB try them all. The values of one poll
share their time, hence RLE. The ordered day is compressed by DuckDB's own choice."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS cursor (position BIGINT NOT NULL);
INSERT INTO cursor SELECT 0 WHERE NOT EXISTS (FROM cursor);
CREATE TABLE IF NOT EXISTS day (day INTEGER NOT NULL, name VARCHAR NOT NULL, ordered BOOLEAN NOT NULL);
CREATE TABLE IF NOT EXISTS shape (digest VARCHAR, place INTEGER, "table" VARCHAR, instance VARCHAR, field VARCHAR);
CREATE TABLE IF NOT EXISTS face (number INTEGER, site VARCHAR, device VARCHAR, digest VARCHAR);
CREATE TABLE IF NOT EXISTS member (face INTEGER, place INTEGER, series INTEGER);
CREATE TABLE IF NOT EXISTS newest (series INTEGER, t BIGINT, value DOUBLE);
CREATE VIEW IF NOT EXISTS series AS
  SELECT DISTINCT series, site, device, "table", instance, field
  FROM member JOIN face ON face.number = member.face JOIN shape USING (digest, place);
"""

Arrays = tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], npt.NDArray[np.float64]]
"""series, t, value: three arrays of one length."""


@dataclass(slots=True)
class Day:
    """One table of rows."""

    name: str
    ordered: bool


def create(db: duckdb.DuckDBPyConnection) -> None:
    """Makes the tables of a new file, and drops what an interrupted pass left behind."""
    db.execute(_SCHEMA)
    kept = {name for (name,) in db.execute("SELECT name FROM day").fetchall()}
    found = db.execute("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'rows\\_%' ESCAPE '\\'").fetchall()
    for (name,) in found:
        if name not in kept:
            db.execute(f"DROP TABLE {name}")


def days(db: duckdb.DuckDBPyConnection) -> dict[int, Day]:
    """The tables of rows by day, in order."""
    stored = db.execute("SELECT day, name, ordered FROM day ORDER BY day").fetchall()
    return {day: Day(name, ordered) for day, name, ordered in stored}


def cursor(db: duckdb.DuckDBPyConnection) -> int:
    """The journal position stored with the rows."""
    found = db.execute("SELECT position FROM cursor").fetchone()
    assert found is not None
    return int(found[0])


def insert(db: duckdb.DuckDBPyConnection, table: str, columns: Mapping[str, object]) -> None:
    """Adds rows from arrays of one length, by name of the column."""
    db.register("incoming", columns)
    try:
        db.execute(f"INSERT INTO {table} SELECT * FROM incoming")  # noqa: S608 - our own names
    finally:
        db.unregister("incoming")


def add_rows(db: duckdb.DuckDBPyConnection, known: Mapping[int, Day], day: int, parts: Iterable[Arrays]) -> Day:
    """Adds rows to a day's table, making it when it is new and marking it for ordering; returns what it is now."""
    found = known.get(day)
    if found is None:
        found = Day(f"rows_{'far' if day == FAR else day}_0", False)
        db.execute(f"CREATE TABLE {found.name} ({_COLUMNS})")
        db.execute("INSERT INTO day VALUES (?, ?, false)", [day, found.name])
    elif found.ordered:
        db.execute("UPDATE day SET ordered = false WHERE day = ?", [day])
    series, t, value = zip(*parts, strict=True)
    insert(db, found.name, {"series": np.concatenate(series), "t": np.concatenate(t), "value": np.concatenate(value)})
    return Day(found.name, False)


def add_names(db: duckdb.DuckDBPyConnection, added: Added) -> None:
    """Stores what the catalogue learnt."""
    for digest, columns in added.shapes.items():
        table, instance, field = (_words(part) for part in zip(*columns, strict=True))
        place = np.arange(len(columns), dtype=np.int32)
        names = {"digest": _words([digest] * len(columns)), "place": place, "table": table}
        insert(db, "shape", {**names, "instance": instance, "field": field})
    if not added.faces:
        return
    number, site, device, digests, series = zip(*added.faces, strict=True)
    heads = {"site": _words(site), "device": _words(device), "digest": _words(digests)}
    insert(db, "face", {"number": np.array(number, np.int32), **heads})
    widths = [len(one) for one in series]
    place = np.concatenate([np.arange(width, dtype=np.int32) for width in widths])
    face = np.repeat(np.array(number, np.int32), widths)
    insert(db, "member", {"face": face, "place": place, "series": np.concatenate(series)})


def _words(words: Iterable[str]) -> npt.NDArray[np.object_]:
    return np.array(list(words), dtype=object)


def load_names(db: duckdb.DuckDBPyConnection) -> Added:
    """Reads back everything `add_names` stored, in its order."""
    shapes: dict[str, list[tuple[str, str, str]]] = {}
    columns = db.execute('SELECT digest, "table", instance, field FROM shape ORDER BY digest, place').fetchall()
    for digest, table, instance, field in columns:
        shapes.setdefault(digest, []).append((table, instance, field))
    heads = db.execute("SELECT number, site, device, digest FROM face ORDER BY number").fetchall()
    series = db.execute("SELECT series FROM member ORDER BY face, place").fetchnumpy()["series"]
    ends = np.cumsum([len(shapes[digest]) for *_, digest in heads]).tolist()
    parts = np.split(np.asarray(series, np.int32), ends[:-1]) if heads else []
    return Added(
        shapes, [Face(head[0], head[1], head[2], head[3], part) for head, part in zip(heads, parts, strict=True)]
    )


def load_newest(db: duckdb.DuckDBPyConnection, catalogue: Catalogue, known: Mapping[int, Day]) -> None:
    """Finds the newest value of every series: those kept at the last pass, and the rows of days not ordered since."""
    catalogue.note(*_arrays(db.execute("SELECT series, t, value FROM newest ORDER BY t")))
    for day in known.values():
        if not day.ordered:
            newest = f"SELECT series, max(t) AS t FROM {day.name} GROUP BY series"  # noqa: S608
            rows = f"FROM {day.name} AS r JOIN ({newest}) USING (series, t) ORDER BY r.t, r.rowid"
            catalogue.note(*_arrays(db.execute(f"SELECT r.series, r.t, r.value {rows}")))


def _arrays(found: duckdb.DuckDBPyConnection) -> Arrays:
    columns = found.fetchnumpy()
    return (
        np.asarray(columns["series"], np.int32),
        np.asarray(columns["t"], np.int64),
        np.asarray(columns["value"], np.float64),
    )


def select(db: duckdb.DuckDBPyConnection, tables: Iterable[Day], numbers: list[int], begin: int, end: int) -> Arrays:
    """Rows of some series with begin <= t < end, each table's in the order of writing."""
    wanted = ",".join(map(str, numbers))
    near = f"series BETWEEN {min(numbers)} AND {max(numbers)} AND series IN ({wanted}) AND t >= {begin} AND t < {end}"
    parts = [
        _arrays(db.execute(f"SELECT series, t, value FROM {day.name} WHERE {near}"))  # noqa: S608
        for day in tables
    ]
    series, t, value = zip(*parts, strict=True)
    return np.concatenate(series), np.concatenate(t), np.concatenate(value)


def only(arrays: Arrays, wanted: npt.NDArray[np.int32], begin: int, end: int) -> Arrays:
    """The rows of the wanted series with begin <= t < end, in their order."""
    series, t, value = arrays
    some = np.isin(series, wanted) & (t >= begin) & (t < end)
    return series[some], t[some], value[some]


def drop(db: duckdb.DuckDBPyConnection, day: int, found: Day) -> None:
    """Forgets a day."""
    db.execute(f"DROP TABLE {found.name}")
    db.execute("DELETE FROM day WHERE day = ?", [day])


class Ordering:
    """One pass over a day that is over: the same rows again by series and time, in steps of about 2 M rows."""

    def __init__(self, db: duckdb.DuckDBPyConnection, day: int, source: Day) -> None:
        self.day = day
        self.source = source
        stem, _, edition = source.name.rpartition("_")
        self.target = f"{stem}_{int(edition) + 1}"
        found = db.execute(f"SELECT count(*), coalesce(max(series), 0) FROM {source.name}").fetchone()  # noqa: S608
        assert found is not None
        self.rows, self.most = int(found[0]), int(found[1])
        self.spoilt = False
        """Whether rows came after the pass began: it must begin again."""
        self._next = 0
        self._stride = max(1, (self.most + 1) * _SORT_ROWS // max(self.rows, 1))
        db.execute(f"CREATE OR REPLACE TABLE {self.target} (series INTEGER, t BIGINT, value DOUBLE)")

    def step(self, db: duckdb.DuckDBPyConnection) -> bool:
        """Writes the next stretch of series; says whether that was the last."""
        db.execute(
            f"INSERT INTO {self.target} SELECT series, t, value FROM {self.source.name} "  # noqa: S608
            f"WHERE series >= {self._next} AND series < {self._next + self._stride} ORDER BY series, t, rowid"
        )
        self._next += self._stride
        return self._next > self.most

    def finish(self, db: duckdb.DuckDBPyConnection, newest: Arrays) -> Day:
        """Puts the new table in the place of the old, in the caller's transaction, with the newest values of all.

        Raises:
            ValueError: the rows are not as many as they were; the caller gives up the pass and loses nothing.
        """
        found = db.execute(f"SELECT count(*) FROM {self.target}").fetchone()  # noqa: S608
        if found is None or found[0] != self.rows:
            raise ValueError(f"{self.target} has {found and found[0]} rows, {self.source.name} had {self.rows}")
        db.execute("UPDATE day SET name = ?, ordered = true WHERE day = ?", [self.target, self.day])
        db.execute(f"DROP TABLE {self.source.name}")
        db.execute("DELETE FROM newest")
        series, t, value = newest
        insert(db, "newest", {"series": series, "t": t, "value": value})
        return Day(self.target, True)

    def give_up(self, db: duckdb.DuckDBPyConnection) -> None:
        """Drops what was written so far."""
        db.execute(f"DROP TABLE IF EXISTS {self.target}")
