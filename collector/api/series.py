"""The values themselves: which series there are, and a stretch of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from collector.api.parts import LATEST, NO_NUL, After, Filter, Instant, Limit, Page, Use
from collector.api.problems import NotFound, described
from collector.series.store import SeriesKey
from forewarn.vocabulary import misnamed

router = APIRouter(tags=["series"])
_Word = Annotated[str, Query(min_length=1, max_length=200, pattern=NO_NUL)]
_SEPARATOR = "\x1f"


class Series(BaseModel):
    """One series: a field of an instance of a table of a device."""

    site: str
    device: str
    table: str
    instance: str
    field: str


class Stretch(BaseModel):
    """A series' values in [begin, end): `t` ascending in Unix milliseconds, `value` in the field's unit."""

    series: Series
    begin: int
    end: int
    t: list[int]
    value: list[float]


@router.get("/series")
def list_series(
    parts: Use, site: _Word, device: Filter = None, table: Filter = None, limit: Limit = 100, after: After = ""
) -> Page[Series]:
    """The series of a site or one of its devices, in order of device, table, instance, field."""
    last = tuple(after.split(_SEPARATOR))
    keys = [key for key in parts.store.series(site, device) if table is None or key.table == table]
    rest = [key for key in keys if not after or key[1:] > last]
    items = [Series(**key._asdict()) for key in rest[:limit]]
    return Page(items=items, next=_SEPARATOR.join(rest[limit - 1][1:]) if len(rest) > limit else None)


@router.get("/series/values", responses=described(404))
def read_series(  # noqa: PLR0913, PLR0917 - a series has five names
    parts: Use,
    site: _Word,
    device: _Word,
    table: _Word,
    field: _Word,
    instance: Annotated[str, Query(max_length=200, pattern=NO_NUL)] = "",
    begin: Instant = 0,
    end: Instant = LATEST,
    most: Annotated[int, Query(ge=1, le=20_000, description="More values than this become means.")] = 2000,
) -> Stretch:
    """The values of one series; a series that never had any in that stretch gives empty lists."""
    wrong = misnamed(table, field)
    if wrong is not None:
        raise NotFound(wrong)
    key = SeriesKey(site, device, table, instance, field)
    points = parts.store.read([key], begin, end, most=most).get(key) if begin < end else None
    return Stretch(
        series=Series(**key._asdict()),
        begin=begin,
        end=end,
        t=[] if points is None else points.t.tolist(),
        value=[] if points is None else points.value.tolist(),
    )
