"""Which number each series has, and its newest value: arrays, so that a record costs one look-up, not one a value.

A series is (site, device, table, instance, field). Devices of a family share a shape, so the catalogue keeps the names
of a shape's columns once, and for every device with that shape a row of series numbers. A series that occurs in two
shapes of its device has one number. A series takes 20 bytes here, whatever its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from collector.series.store import SeriesKey
from rules.samples import Device, Rows

Numbers = npt.NDArray[np.int32]
NEVER = np.iinfo(np.int64).min
_Column = tuple[str, str, str]


class Face(NamedTuple):
    """A device with a shape: `number` names it in the store, `series` has a number for each column of the shape."""

    number: int
    site: str
    device: str
    digest: str
    series: Numbers


class Added(NamedTuple):
    """What the catalogue learnt and the store does not have yet: columns of new shapes, and faces."""

    shapes: dict[str, list[_Column]]
    faces: list[Face]


class _Form:
    """The devices that have one shape, in rows of series numbers."""

    def __init__(self, columns: list[_Column]) -> None:
        self.columns = columns
        self.places = {column: place for place, column in enumerate(columns)}
        self.row: dict[Device, int] = {}
        self.count = 0
        self._series = np.empty((4, len(columns)), np.int32)

    def add(self, series: Numbers) -> int:
        """Gives a device a row."""
        if self.count == len(self._series):
            self._series = np.concatenate([self._series, np.empty_like(self._series)])
        self._series[self.count] = series
        self.count += 1
        return self.count - 1

    @property
    def series(self) -> Numbers:
        return self._series[: self.count]


class Catalogue:
    """Gives numbers to series, and remembers the newest value of each. Not thread-safe."""

    def __init__(self) -> None:
        self._forms: dict[str, _Form] = {}
        self._held: dict[str, dict[str, list[tuple[str, int]]]] = {}
        self._faces = 0
        self._series = 0
        self._added = Added({}, [])
        self._newest_t = np.full(1024, NEVER, np.int64)
        self._newest = np.zeros(1024)

    def __len__(self) -> int:
        return self._series

    def numbers(self, rows: Rows) -> Numbers:
        """Returns int32[n, width]: the series of every value; new ones get their number here."""
        form = self._forms.get(rows.shape.digest)
        if form is None:
            form = self._learn(rows.shape.digest, list(rows.shape.columns()))
            self._added.shapes[rows.shape.digest] = form.columns
        try:
            at = [form.row[device] for device in rows.devices]
        except KeyError:
            for device in rows.devices:
                if device not in form.row:
                    form.row[device] = self._row(device, rows.shape.digest, form)
            at = [form.row[device] for device in rows.devices]
        return form.series[at]

    def _learn(self, digest: str, columns: list[_Column]) -> _Form:
        self._forms[digest] = _Form(columns)
        return self._forms[digest]

    def _row(self, device: Device, digest: str, form: _Form) -> int:
        """Finds the device's row (another agent may have made it) or makes one."""
        held = self._held.setdefault(device.site, {}).setdefault(device.device, [])
        for other, row in held:
            if other == digest:
                return row
        known: dict[_Column, int] = {}
        for other, row in held:
            known.update(zip(self._forms[other].columns, self._forms[other].series[row].tolist(), strict=True))
        for column in form.columns:
            if column not in known:
                known[column] = self._series
                self._series += 1
        series = np.array([known[column] for column in form.columns], np.int32)
        self._faces += 1
        self._added.faces.append(Face(self._faces, device.site, device.device, digest, series))
        row = form.add(series)
        held.append((digest, row))
        self._room()
        return row

    def _room(self) -> None:
        if self._series > len(self._newest):
            more = max(self._series, 2 * len(self._newest)) - len(self._newest)
            self._newest_t = np.concatenate([self._newest_t, np.full(more, NEVER, np.int64)])
            self._newest = np.concatenate([self._newest, np.zeros(more)])

    def note(self, series: Numbers, t: npt.NDArray[np.int64], value: npt.NDArray[np.float64]) -> None:
        """Keeps the newest values. Arrays of one length in the order of `t`; among equal times the later stays."""
        newer = t >= self._newest_t[series]
        if not newer.all():
            series, t, value = series[newer], t[newer], value[newer]
        self._newest_t[series] = t
        self._newest[series] = value

    def newest(self, below: int) -> tuple[Numbers, npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """Every series with a number under `below` that has a value: (number, t, value)."""
        found = np.flatnonzero(self._newest_t[:below] != NEVER).astype(np.int32)
        return found, self._newest_t[found], self._newest[found]

    def forget_before(self, t: int) -> None:
        """Drops newest values older than `t`: their rows are gone."""
        self._newest_t[self._newest_t < t] = NEVER

    def last(self, site: str, device: str | None) -> Iterator[tuple[SeriesKey, int, float]]:
        """Yields (key, t, value) for every series that has a value."""
        for key, number in self.keys(site, device):
            t = int(self._newest_t[number])
            if t != NEVER:
                yield key, t, float(self._newest[number])

    def keys(self, site: str, device: str | None) -> Iterator[tuple[SeriesKey, int]]:
        """Yields (key, number), each series once."""
        held = self._held.get(site, {})
        for name in [device] if device is not None else list(held):
            seen: set[int] = set()
            for digest, row in held.get(name, []):
                form = self._forms[digest]
                for column, number in zip(form.columns, form.series[row].tolist(), strict=True):
                    if number not in seen:
                        seen.add(number)
                        yield SeriesKey(site, name, *column), number

    def find(self, key: SeriesKey) -> int | None:
        """The number of a series, None when it never had a value."""
        for digest, row in self._held.get(key.site, {}).get(key.device, []):
            place = self._forms[digest].places.get((key.table, key.instance, key.field))
            if place is not None:
                return int(self._forms[digest].series[row, place])
        return None

    def take_added(self) -> Added:
        """What was learnt since the last call."""
        added, self._added = self._added, Added({}, [])
        return added

    def give_back(self, added: Added) -> None:
        """Undoes `take_added`: the store could not keep it."""
        self._added = Added(added.shapes | self._added.shapes, added.faces + self._added.faces)

    def restore(self, stored: Added) -> None:
        """Learns what the store has, in the order it was learnt first."""
        for digest, columns in stored.shapes.items():
            self._learn(digest, columns)
        for face in stored.faces:
            row = self._forms[face.digest].add(face.series)
            self._held.setdefault(face.site, {}).setdefault(face.device, []).append((face.digest, row))
            self._faces = max(self._faces, face.number)
            self._series = max(self._series, int(face.series.max(initial=-1)) + 1)
        self._room()
