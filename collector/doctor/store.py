"""The series store: there, and ready to take and give values.

A DuckDB file belongs to one process: the running collector speaks for it.

Errors: none; what is wrong is told.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from collector.doctor.running import Answer
from collector.series.store import Unavailable
from collector.settings import Influxdb, Settings
from forewarn.doctor.diagnosis import Diagnosis, amount, fail, ok
from forewarn.doctor.machine import there


def look(settings: Settings, answer: Answer) -> Iterator[Diagnosis]:
    """Looks at the store the settings name."""
    if settings.series.influxdb is not None and settings.series.store == "influxdb":
        yield from _influxdb(settings.series.influxdb)
        return
    file = settings.folder / "series.duckdb"
    subject, said = "series store", answer.said("store")
    if said is not None and said.ok:
        yield ok(subject, f"the running collector works with {file}")
    elif said is not None:
        yield fail(subject, said.detail, "see the disk above; values wait in the journal meanwhile")
    elif not there(file):
        yield ok(subject, f"{file} is not there yet; the first start makes it")
    else:
        from collector.series.audit import examined

        try:
            found = examined(file)
        except Unavailable as wrong:
            yield _unopened(str(wrong), answer)
            return
        what = f"{file}, {amount(file.stat().st_size)}, {found.series} series in {found.days} days"
        yield ok(subject, what)


def _unopened(why: str, answer: Answer) -> Diagnosis:
    if "lock on file" in why:
        remedy = f"end that process, or let it answer at {answer.address}: a DuckDB file belongs to one collector"
    else:
        remedy = (
            "stop the collector and move the file away: it is made again from the journal, as far back as that goes"
        )
    return fail("series store", why, remedy)


def _influxdb(settings: Influxdb) -> Iterator[Diagnosis]:
    from collector.series.influx import InfluxStore

    subject = f"series store {settings.url}"
    with contextlib.closing(InfluxStore(settings)) as store:
        try:
            server = store.server()
        except Unavailable as wrong:
            yield fail(subject, str(wrong), "start it there, or correct `series.influxdb.url`")
            return
        yield ok(subject, server)
        unread = store.ping()
        if unread:
            yield fail(subject, unread, "let the token read the bucket: `series.influxdb` names both")
        unwritten = store.refuses_writing()
        if unwritten:
            yield fail(subject, unwritten, "let the token write the bucket: `series.influxdb` names both")
        if not unread and not unwritten:
            yield ok(subject, f"lets us read and write `{settings.bucket}`")
