"""Tables: cells that link and colour, sorting by what a value is rather than how it is written, and CSV of the same."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any, NamedTuple

from nicegui import ui

from collector.console.visit import Visit

PAGE_ROWS = 50
_CELL = """
<q-td :props="props" :class="props.col.shape">
  <a v-if="props.value.to" :href="props.value.to" :class="props.value.tone">{{ props.value.shown }}</a>
  <span v-else :class="props.value.tone">{{ props.value.shown }}</span>
  <div v-if="props.value.under" class="fw-soft fw-small">{{ props.value.under }}</div>
</q-td>
"""
_BY_SORT = "(a, b) => a.sort < b.sort ? -1 : a.sort > b.sort ? 1 : 0"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Column(NamedTuple):
    """A column; `shape` is number, time, long or nothing; `wide` is left out on a phone."""

    key: str
    label: str
    shape: str = ""
    wide: bool = False


class Cell(NamedTuple):
    """A cell: what is shown, and what it is sorted by (the shown text when None).

    `to` is where it leads, `under` a line below it, `saved` what is exported where the shown text says less ("5 min
    ago").
    """

    shown: str
    sort: float | str | None = None
    to: str = ""
    tone: str = ""
    badge: bool = False
    under: str = ""
    saved: str = ""


Row = dict[str, Cell]


class Listing:
    """A table on a page, with its export.

    Args:
        visit: whose page.
        columns: left to right.
        rows: each with a cell for every column.
        file: what the export is called, without ending.
        pages: whether long tables are shown page by page.
    """

    def __init__(
        self, visit: Visit, columns: Sequence[Column], rows: Sequence[Row], file: str, *, pages: bool = True
    ) -> None:
        self._visit, self._columns, self._rows, self._file = visit, columns, list(rows), file
        self._table = ui.table(
            columns=[_column(column) for column in columns],
            rows=_plain(rows),
            row_key="id",
            pagination={"rowsPerPage": PAGE_ROWS if pages else 0},
        )
        self._table.classes("fw-table").props(f'flat dense wrap-cells no-data-label="{visit.say("nothing")}"')
        self._table.props(f':hide-bottom="{str(bool(rows) and len(rows) <= PAGE_ROWS).lower()}"')
        self._table.add_slot("body-cell", _CELL)

    def change(self, rows: Sequence[Row]) -> None:
        """Shows other rows."""
        self._rows = list(rows)
        self._table.props(f':hide-bottom="{str(bool(rows) and len(rows) <= PAGE_ROWS).lower()}"')
        self._table.rows = _plain(rows)

    def export_button(self) -> None:
        """A button that saves what the table shows."""
        button = ui.button(self._visit.say("export"), icon="download", on_click=self._save, color=None)
        button.props("flat dense no-caps").classes("fw-wide fw-deed")

    def _save(self) -> None:
        ui.download.content(as_csv(self._columns, self._rows), f"{self._file}.csv", "text/csv")


def as_csv(columns: Sequence[Column], rows: Sequence[Row]) -> bytes:
    """The table as CSV, in the words of the screen.

    With a byte order mark, without which spreadsheets take Chinese for Latin. What a spreadsheet would take for a
    formula is quoted: a device may be called anything.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([column.label for column in columns])
    for row in rows:
        writer.writerow([_harmless(row[column.key].saved or row[column.key].shown) for column in columns])
    return out.getvalue().encode("utf-8-sig")


def _harmless(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _column(column: Column) -> dict[str, Any]:
    hidden = "fw-wide" if column.wide else ""
    return {
        "name": column.key,
        "label": column.label,
        "field": column.key,
        "sortable": True,
        "align": "right" if column.shape == "number" else "left",
        "shape": f"fw-{column.shape} {hidden}",
        "headerClasses": hidden,
        ":sort": _BY_SORT,
    }


def _plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"id": at, **{key: _cell(cell) for key, cell in row.items()}} for at, row in enumerate(rows)]


def _cell(cell: Cell) -> dict[str, Any]:
    tone = (f"fw-{cell.tone} " if cell.tone else "") + ("fw-badge" if cell.badge else "")
    sort = cell.shown.lower() if cell.sort is None else cell.sort
    return {"shown": cell.shown, "sort": sort, "to": cell.to, "tone": tone, "under": cell.under}
