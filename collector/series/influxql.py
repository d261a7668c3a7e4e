"""The questions we ask InfluxDB, in InfluxQL, which its versions 1 to 3 all answer over `/query`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from collector.series.lines import tag
from collector.series.store import SeriesKey

_TIME_LIMIT = 9_200_000_000_000
"""Milliseconds: InfluxDB counts nanoseconds in 64 bits."""


def name(word: str) -> str:
    """A measurement, field or tag as InfluxQL quotes it."""
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def text(value: str) -> str:
    """The value of a tag as InfluxQL quotes it."""
    return "'" + tag(value).replace("\\", "\\\\").replace("'", "\\'") + "'"


def of_device(site: str, device: str | None) -> str:
    """The condition that names a site or one device."""
    return f'"site" = {text(site)}' + (f' AND "device" = {text(device)}' if device is not None else "")


def _of_series(key: SeriesKey, begin: int, end: int) -> str:
    bounds = [max(-_TIME_LIMIT, min(_TIME_LIMIT, bound)) for bound in (begin, end)]
    return (
        f'FROM {name(key.table)} WHERE {of_device(key.site, key.device)} AND "instance" = {text(key.instance)} '
        f"AND time >= {bounds[0]}ms AND time < {bounds[1]}ms"
    )


def values(key: SeriesKey, begin: int, end: int, limit: int) -> str:
    """The first `limit` values of a series."""
    return f"SELECT {name(key.field)} {_of_series(key, begin, end)} LIMIT {limit}"


def last_of(key: SeriesKey, begin: int, end: int) -> str:
    """The last value of a series in a stretch."""
    return f"SELECT last({name(key.field)}) {_of_series(key, begin, end)}"


def means(key: SeriesKey, begin: int, end: int, width: int) -> str:
    """Means over buckets of `width` milliseconds, the first of which begins at `begin`."""
    buckets = f"GROUP BY time({width}ms, {begin % width}ms) fill(none)"
    return f"SELECT mean({name(key.field)}) {_of_series(key, begin, end)} {buckets}"


def newest(table: str, field: str, site: str, device: str | None) -> str:
    """The last value of a field of every instance of every device."""
    where = of_device(site, device)
    return f'SELECT last({name(field)}) FROM {name(table)} WHERE {where} GROUP BY "device", "instance"'  # noqa: S608


def statements(answer: Any, count: int) -> list[list[dict[str, Any]]]:
    """The series of each statement of an answer, in order; a statement that found nothing has none.

    Raises:
        ValueError: the database's own words on what is wrong.
    """
    results = answer.get("results", []) if isinstance(answer, dict) else []
    found: list[list[dict[str, Any]]] = [[] for _ in range(count)]
    for at, result in enumerate(results):
        if "error" in result:
            raise ValueError(result["error"])
        place = result.get("statement_id", at)
        if place < count:
            found[place] += result.get("series", [])
    return found


def pairs(series: Iterable[dict[str, Any]]) -> Iterator[tuple[int, float]]:
    """(t, value) of every row that has a value; VictoriaMetrics answers all questions with a list of databases."""
    for one in series:
        rows = one.get("values", []) if one["columns"][0] == "time" else []
        for t, value, *_ in rows:
            if value is not None:
                yield int(t), float(value)
