"""Series in InfluxDB, for Grafana and for more than one collector.

Lines go to `/api/v2/write` (InfluxDB from 1.8, VictoriaMetrics), or to `/write` where a database has only that; reads
are InfluxQL over `/query`. The database is idempotent by key and time, so a batch that failed half-way is sent again.

The cursor is a point of the measurement `forewarn_cursor` in the same database: whoever loses the database loses the
cursor with it and is given the journal again. It is written behind the rows, never in one request with them (a request
is not atomic), at midnight of the day, so that a day has one point. It trails by some seconds, and after a failure the
journal is given again from there: VictoriaMetrics keeps what it acknowledged in memory for 5 s, and a kill takes it
along. VictoriaMetrics answers no InfluxQL: it takes values, but starts again from the journal's beginning when the
collector starts.

Errors:
    Unavailable   not reached, too slow, wrong token, no such database: the sentence says which, and what to do
    Refused       the database will never take some values (another type there, a time it cannot keep)
"""

from __future__ import annotations

import contextlib
import gzip
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.rest import ApiException
from urllib3.exceptions import HTTPError

from collector.series import influxql
from collector.series.lines import lines, times_of, without
from collector.series.store import Points, Refused, SeriesKey, Unavailable
from collector.series.thinning import EMPTY, bucket_width
from collector.settings import Influxdb
from forewarn.vocabulary import TABLES
from rules.samples import Batch

LINES = 5000
"""Lines of a request; more are not faster, and make a refusal dearer."""
SETTLED_SECONDS = 5.0
"""How long VictoriaMetrics may hold in memory what it acknowledged."""
_DAY = 86_400_000
_CURSOR = 'SELECT last("position") FROM "forewarn_cursor"'
_CONFLICT = re.compile(r'field type conflict: input field \\?"(\w+)\\?" on measurement \\?"(\w+)\\?"')
_UNREACHED = (HTTPError, OSError)
_BAD_REQUEST, _NO_LEAVE, _NOT_FOUND, _TOO_LARGE, _UNPROCESSABLE = 400, (401, 403), 404, 413, 422


class InfluxStore:
    """See SeriesStore."""

    def __init__(
        self, settings: Influxdb, *, clock: Callable[[], float] = time.time, settled: float = SETTLED_SECONDS
    ) -> None:
        """Takes where it is, and asks nothing yet.

        Args:
            settings: where it is and who we are.
            clock: Unix seconds, for the cursor.
            settled: how long rows must have been acknowledged before the cursor passes them.
        """
        self._settings = settings
        self._clock = clock
        self._settled = settled
        access = settings.access()
        self._client: Any = InfluxDBClient(
            settings.url,
            access,
            org=settings.org,
            timeout=int(settings.timeout * 1000),
            auth_basic=":" in access,
        )
        self._path = "/api/v2/write"
        self._stored: int | None = None
        self._taken = 0
        self._settling = 0
        self._looked = 0.0
        self._lock = threading.Lock()

    def cursor(self) -> int:
        """See SeriesStore.

        Raises:
            Unavailable: the database cannot be asked.
        """
        with self._lock:
            self._settle()
            return self._resumed()

    def _resumed(self) -> int:
        if self._stored is None:
            [series] = self._ask([_CURSOR])
            self._stored = self._taken = self._settling = int(next((at for _, at in influxql.pairs(series)), 0))
        return self._stored

    def _settle(self) -> None:
        """Moves the cursor to what had been taken when this last looked, `settled` seconds ago or more."""
        now = self._clock()
        if abs(now - self._looked) < self._settled:
            return
        self._looked = now
        upto, self._settling = self._settling if self._settled else self._taken, self._taken
        self._note(upto)

    def _note(self, upto: int) -> None:
        """Moves the cursor in the database."""
        if self._stored is None or upto <= self._stored:
            return
        midnight = int(self._clock() * 1000) // _DAY * _DAY
        refusal = self._refusal([f"forewarn_cursor position={float(upto)!r} {midnight}"])
        if refusal is not None:
            raise Unavailable(f"InfluxDB at {self._settings.url} refuses the cursor: {refusal}")
        self._stored = upto

    def write(self, batch: Batch) -> None:
        """See SeriesStore. Unavailable: a part may be stored; writing it again changes nothing."""
        with self._lock:
            self._resumed()
            if batch.last <= self._taken:
                return
            try:
                refusals = self._sent(batch)
            except Unavailable:
                self._taken = self._settling = self._resumed()  # What was not yet settled may be gone with it.
                raise
            self._taken = batch.last
            self._settle()
        _refuse(refusals)

    def put(self, batch: Batch) -> None:
        """See SharedStore."""
        with self._lock:
            refusals = self._sent(batch)
        _refuse(refusals)

    def _sent(self, batch: Batch) -> list[tuple[str, str]]:
        """Stores a batch; gives (why, line) for each line that is refused, having stored all others."""
        refusals: list[tuple[str, str]] = []
        given = (line for rows in batch.rows for line in lines(rows))
        while some := list(islice(given, LINES)):
            refusals += self._put(some)
        return refusals

    def _put(self, some: list[str]) -> Iterator[tuple[str, str]]:
        """Stores lines; yields (why, line) for each that is refused, having stored all others."""
        why = self._refusal(some)
        if why is None or "beyond retention" in why:
            return  # Beyond retention: the rest of the request is stored, and these would be dropped for their age.
        conflict = _CONFLICT.search(why)
        if conflict:
            yield from self._put_without(some, conflict[2], conflict[1], why)
        elif len(some) == 1:
            yield why, some[0]
        else:
            yield from self._put(some[: len(some) // 2])
            yield from self._put(some[len(some) // 2 :])

    def _refusal(self, some: list[str]) -> str | None:
        """Sends lines; returns the database's words when it refuses some, None when it took all."""
        try:
            self._post(some)
        except ApiException as wrong:
            return _said(wrong)
        return None

    def _put_without(self, some: list[str], table: str, field: str, why: str) -> Iterator[tuple[str, str]]:
        """A conflict refuses whole points: their other fields are sent again without the one in conflict."""
        kept = [without(line, table, field) for line in some]
        changed = [(why, before) for before, after in zip(some, kept, strict=True) if before != after]
        rest = [line for line in kept if line is not None]
        yield from changed
        if rest and changed:
            yield from self._put(rest)
        elif not changed:
            raise Unavailable(f"InfluxDB refuses a field that was not sent: {why}")

    def _post(self, some: list[str]) -> None:
        """One request.

        Raises:
            ApiException: the database refuses lines (400, 413, 422).
            Unavailable: anything else.
        """
        body = gzip.compress("\n".join(some).encode(), 1)
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Encoding": "gzip"}
        where = {"bucket": self._settings.bucket, "org": self._settings.org, "precision": "ms"}
        if self._path == "/write":
            where = {"db": self._settings.bucket, "precision": "ms"}
        try:
            self._call(self._path, list(where.items()), headers, body=body)
        except ApiException as wrong:
            if wrong.status == _NOT_FOUND and self._path != "/write" and "page not found" in _said(wrong):
                self._path = "/write"
                self._post(some)
            elif wrong.status in (_BAD_REQUEST, _UNPROCESSABLE, _TOO_LARGE):
                raise
            else:
                raise Unavailable(self._sentence(wrong)) from wrong

    def _call(self, path: str, query: list[tuple[str, str]], headers: dict[str, str], **kwargs: Any) -> Any:
        try:
            return self._client.api_client.call_api(
                path, "POST", query_params=query, header_params=headers, _return_http_data_only=True, **kwargs
            )
        except _UNREACHED as wrong:
            raise Unavailable(f"InfluxDB at {self._settings.url} is not reached: {wrong}") from wrong

    def _ask(self, questions: Sequence[str]) -> list[list[dict[str, Any]]]:
        """The answer to each question, all in one request.

        Raises:
            Unavailable: with the database's own words.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        where = [("db", self._settings.bucket), ("epoch", "ms")]
        form = [("q", "; ".join(questions))]
        try:
            answer = self._call("/query", where, headers, post_params=form, response_type=object)
            return influxql.statements(answer, len(questions))
        except ApiException as wrong:
            raise Unavailable(self._sentence(wrong)) from wrong
        except ValueError as wrong:
            raise Unavailable(f"InfluxDB at {self._settings.url}: {wrong}") from wrong

    def _sentence(self, wrong: ApiException) -> str:
        where, said = f"InfluxDB at {self._settings.url}", _said(wrong)
        if wrong.status in _NO_LEAVE:
            return f"{where} does not accept the token ({wrong.status}): set `series.influxdb.token_file` ({said})"
        if wrong.status == _NOT_FOUND:
            return f"{where} has no `{self._settings.bucket}`: make it, or set `series.influxdb.bucket` ({said})"
        return f"{where} answers {wrong.status}: {said}"

    def last(self, site: str, device: str | None = None) -> dict[SeriesKey, tuple[int, float]]:
        """See SeriesStore. One request with a statement for each field that the database has."""
        [known] = self._ask(["SHOW FIELD KEYS"])
        fields = [(one["name"], row[0]) for one in known if one["name"] in TABLES for row in one["values"]]
        found: dict[SeriesKey, tuple[int, float]] = {}
        if not fields:
            return found
        answers = self._ask([influxql.newest(table, field, site, device) for table, field in fields])
        for (table, field), answer in zip(fields, answers, strict=True):
            for one in answer:
                tags = one.get("tags", {})
                for pair in influxql.pairs([one]):
                    found[SeriesKey(site, tags.get("device", ""), table, tags.get("instance", ""), field)] = pair
        return found

    def series(self, site: str, device: str | None = None) -> list[SeriesKey]:
        """See SeriesStore."""
        return sorted(self.last(site, device))

    def read(self, keys: Sequence[SeriesKey], begin: int, end: int, *, most: int = 2000) -> dict[SeriesKey, Points]:
        """See SeriesStore. Raises: Unavailable."""
        found = dict.fromkeys(keys, EMPTY)
        if not keys or begin >= end:
            return found
        answers = self._ask([influxql.values(key, begin, end, most + 1) for key in keys])
        found |= {key: _points(answer) for key, answer in zip(keys, answers, strict=True)}
        long = [key for key in keys if len(found[key].t) > most]
        if long:
            found |= self._means(long, {key: int(found[key].t[0]) for key in long}, end, most)
        return found

    def _means(
        self, keys: list[SeriesKey], first: dict[SeriesKey, int], end: int, most: int
    ) -> dict[SeriesKey, Points]:
        ends = self._ask([influxql.last_of(key, first[key], end) for key in keys])
        last = {key: max(t for t, _ in influxql.pairs(answer)) for key, answer in zip(keys, ends, strict=True)}
        width = {key: bucket_width(first[key], last[key], most) for key in keys}
        answers = self._ask([influxql.means(key, first[key], last[key] + 1, width[key]) for key in keys])
        return {key: _points(answer) for key, answer in zip(keys, answers, strict=True)}

    def tend(self, now: int) -> None:
        """See SeriesStore. The database drops old values by the retention of its bucket."""

    def ping(self) -> str | None:
        """See SeriesStore."""
        try:
            self._ask([_CURSOR])
        except Unavailable as wrong:
            return str(wrong)
        return None

    def server(self) -> str:
        """Which server it says it is: `InfluxDB 1.8.10`; VictoriaMetrics, for one, does not tell.

        Raises:
            Unavailable: it is not reached.
        """
        try:
            _, _, headers = self._client.api_client.call_api("/ping", "GET", _return_http_data_only=False)
        except _UNREACHED as wrong:
            raise Unavailable(f"InfluxDB at {self._settings.url} is not reached: {wrong}") from wrong
        except ApiException as wrong:
            headers = wrong.headers or {}
        told = {str(name).lower(): str(value) for name, value in dict(headers).items()}
        build = told.get("x-influxdb-build", "")
        version = told.get("x-influxdb-version")
        return " ".join(filter(None, ("InfluxDB", version, build))) if version else "a server that tells no version"

    def refuses_writing(self) -> str:
        """Why values may not be written, in a sentence; empty when they may. A comment is sent, nothing is stored."""
        try:
            self._post(["# may we write?"])
        except ApiException:
            return ""  # Token and bucket were accepted: that there is no value in it is all that is refused.
        except Unavailable as wrong:
            return str(wrong)
        return ""

    def close(self) -> None:
        """See SeriesStore. A cursor that cannot be written now costs a repetition, nothing else."""
        with contextlib.suppress(Unavailable), self._lock:
            self._note(self._taken)
        self._client.close()


def _refuse(refusals: Sequence[tuple[str, str]]) -> None:
    if refusals:
        told = [line for _, line in refusals]
        raise Refused(refusals[0][0], told, len(told), times_of(told))


def _said(wrong: ApiException) -> str:
    return str(wrong.body or wrong.reason or "").strip()[:500]


def _points(series: list[dict[str, Any]]) -> Points:
    found = list(influxql.pairs(series))
    t, value = zip(*found, strict=True) if found else ((), ())
    return Points(np.array(t, np.int64), np.array(value, np.float64))
