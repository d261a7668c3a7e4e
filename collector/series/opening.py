"""The list of series stores: opens the one the settings name. Only that one's library is imported."""

from __future__ import annotations

from pathlib import Path

from collector.series.store import SeriesStore
from collector.settings import Series


def open_store(settings: Series, folder: Path) -> SeriesStore:
    """Opens the series store; the caller closes it.

    Args:
        settings: the section `series`.
        folder: the collector's data folder; DuckDB's file `series.duckdb` lies in it.

    Raises:
        Unavailable: DuckDB's file is held by another process or cannot be read. InfluxDB is not asked here.
    """
    if settings.store == "duckdb":
        from collector.series.duck import DuckStore

        return DuckStore(folder / "series.duckdb", settings.duckdb, keep=settings.keep)
    from collector.series.influx import InfluxStore

    assert settings.influxdb is not None
    return InfluxStore(settings.influxdb)
