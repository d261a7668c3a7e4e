"""What the API is made of, handed in by the composition root, and the forms its parameters share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Query, Request
from fastapi import Path as InPath
from prometheus_client import CollectorRegistry
from pydantic import BaseModel, Field
from sqlalchemy import Engine

from collector.series.store import SeriesStore
from collector.tickets.book import Book
from collector.tickets.maintenance import Maintenances
from rules.ruleset import Ruleset

T = TypeVar("T")
NO_NUL = r"^[^\x00]*$"
"""PostgreSQL cannot keep U+0000 in text."""
LATEST = 2**53
"""Largest whole number that every JSON reader keeps exact."""


class Check(BaseModel):
    """One thing the collector needs, and whether it is there."""

    name: str
    ok: bool
    detail: str = ""
    lag: int | None = None
    """Journal entries not yet taken, of a projection."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a request may need. `now` gives Unix milliseconds; `checks` what /readyz says; `rules` are in force."""

    journal: Engine
    service: Engine
    store: SeriesStore
    tickets: Book
    look_up: Callable[[str], str | None]
    checks: Callable[[], list[Check]]
    registry: CollectorRegistry
    now: Callable[[], int]
    rules: Ruleset

    @property
    def maintenances(self) -> Maintenances:
        """What people do with maintenances."""
        return Maintenances(self.service, now=self.now)


class Page(BaseModel, Generic[T]):
    """Part of a list. Ask again with `after` = `next` for what follows; null: this is the end."""

    items: list[T]
    next: str | None = None


def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


Use = Annotated[Parts, Depends(_parts)]
Limit = Annotated[int, Query(ge=1, le=500, description="At most this many items.")]
After = Annotated[str, Query(max_length=300, pattern=NO_NUL, description="`next` of the page before.")]
Filter = Annotated[str | None, Query(max_length=200, pattern=NO_NUL)]
Name = Annotated[str, InPath(max_length=200, pattern=NO_NUL)]
Instant = Annotated[int, Query(ge=0, le=LATEST, description="Unix milliseconds.")]
Text = Annotated[str, Field(min_length=1, max_length=8000, pattern=NO_NUL)]
Words = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
