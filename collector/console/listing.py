"""Tables: cells that link and colour, sorting by what a value is rather than how it is written, and CSV of the same.

A long table keeps its rows here and shows them page by page, so that a browser never holds thousands of them.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from nicegui import ui
from nicegui.events import GenericEventArguments

from collector.console.visit import Visit

PAGE_ROWS = 50
MOST_SENT = 200
"""Up to so many rows the browser has all of them, and sorts and turns pages itself."""
_PAGES = (50, 100, MOST_SENT)
_MOST_INDENTS = 12
_CELL = """
<q-td :props="props" :class="props.col.shape" :style="props.value.depth ? {paddingLeft: props.value.depth + .75 + 'rem'} : {}">
  <a v-if="props.value.to" :href="props.value.to" :class="props.value.tone">{{ props.value.shown }}</a>
  <span v-else :class="props.value.tone">{{ props.value.shown }}</span>
  <div v-if="props.value.under" class="fw-small" :class="props.value.loud ? 'fw-bad' : 'fw-soft'">{{ props.value.under }}</div>
</q-td>
"""
_BY_SORT = "(a, b) => a.sort < b.sort ? -1 : a.sort > b.sort ? 1 : 0"
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


class Column(NamedTuple):
    """A column; `shape` is number, time, long or nothing; `wide` is left out on a phone, `saved` stands in exports alone."""

    key: str
    label: str
    shape: str = ""
    wide: bool = False
    saved: bool = False


class Cell(NamedTuple):
    """A cell: what is shown, and what it is sorted by (the shown text when None).

    `to` is where it leads, `under` a line below it (`loud`: one to be seen), `saved` what is exported where the shown
    text says less ("5 min ago"), `depth` how far it is set in, in a tree.
    """

    shown: str
    sort: float | str | None = None
    to: str = ""
    tone: str = ""
    badge: bool = False
    under: str = ""
    saved: str = ""
    loud: bool = False
    depth: int = 0


Row = dict[str, Cell]


class Listing:
    """A table on a page, with its export.

    Args:
        visit: whose page.
        columns: left to right.
        rows: each with a cell for every column.
        file: what the export is called, without ending.
        pages: whether long tables are shown page by page.
        sorts: whether people may sort it; a tree has its order.
    """

    def __init__(
        self,
        visit: Visit,
        columns: Sequence[Column],
        rows: Sequence[Row],
        file: str,
        *,
        pages: bool = True,
        sorts: bool = True,
    ) -> None:
        self._visit, self._columns, self._rows, self._file = visit, columns, list(rows), file
        self._pages = pages
        self._turned: dict[str, Any] = {"page": 1, "rowsPerPage": PAGE_ROWS}
        self._table = ui.table(
            columns=[_column(column, sorts=sorts) for column in columns if not column.saved],
            rows=[],
            row_key="id",
            pagination={"rowsPerPage": PAGE_ROWS if pages else 0},
        )
        self._table.classes("fw-table").props(f'flat dense wrap-cells no-data-label="{visit.say("nothing")}"')
        self._table.props(f'rows-per-page-label="{visit.say("rows_a_page")}" :rows-per-page-options="{list(_PAGES)}"')
        of = json.dumps(visit.say("shown_of", shown="@", all="#"), ensure_ascii=False)
        label = f"(first, last, all) => {of}.replace('@', first + ' - ' + last).replace('#', all)"
        self._table.props[":pagination-label"] = label
        self._table.add_slot("body-cell", _CELL)
        self._table.on("request", self._turn, args=["pagination"])
        self._show()

    def change(self, rows: Sequence[Row]) -> None:
        """Shows other rows."""
        self._rows = list(rows)
        self._show()

    def _turn(self, event: GenericEventArguments) -> None:
        """Shows another page of a long table, or the same in another order."""
        asked = event.args["pagination"] if isinstance(event.args, dict) else {}
        size, page = asked.get("rowsPerPage"), asked.get("page")
        self._turned = {
            "page": page if isinstance(page, int) and page > 0 else 1,
            "rowsPerPage": size if size in _PAGES else PAGE_ROWS,
            "sortBy": str(asked.get("sortBy") or ""),
            "descending": bool(asked.get("descending")),
        }
        self._show()

    def _show(self) -> None:
        few = len(self._rows) <= MOST_SENT or not self._pages
        bottom = bool(self._rows) and (len(self._rows) <= PAGE_ROWS or not self._pages)
        self._table.props(f':hide-bottom="{str(bottom).lower()}"')
        if few:
            kept = self._table.pagination
            self._table.pagination = {name: kept[name] for name in kept if name != "rowsNumber"}
            self._table.rows = _plain(self._rows)
            return
        by, size = self._turned.get("sortBy", ""), self._turned["rowsPerPage"]
        rows = self._rows
        if any(column.key == by for column in self._columns):
            rows = sorted(rows, key=lambda row: _order(row[by]), reverse=self._turned["descending"])
        page = min(self._turned["page"], -(-len(rows) // size))
        self._table.pagination = {**self._turned, "page": page, "rowsNumber": len(rows)}
        self._table.rows = _plain(rows[(page - 1) * size : page * size])

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


def listed(visit: Visit, title: str, columns: Sequence[Column], rows: Sequence[Row], file: str) -> Listing:
    """A table below its title, with its export beside it."""
    with ui.column().classes("w-full gap-1"):
        with ui.row().classes("w-full items-center justify-between"):
            ui.label(title).classes("fw-title")
            tools = ui.row()
        listing = Listing(visit, columns, rows, file)
        with tools:
            listing.export_button()
    return listing


def _order(cell: Cell) -> tuple[bool, float | str]:
    sort = _sort(cell)
    return isinstance(sort, str), sort


def _sort(cell: Cell) -> float | str:
    return cell.shown.lower() if cell.sort is None else cell.sort


def _column(column: Column, *, sorts: bool) -> dict[str, Any]:
    hidden = "fw-wide" if column.wide else ""
    return {
        "name": column.key,
        "label": column.label,
        "field": column.key,
        "sortable": sorts,
        "align": "right" if column.shape == "number" else "left",
        "shape": f"fw-{column.shape} {hidden}",
        "headerClasses": hidden,
        ":sort": _BY_SORT,
    }


def _plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [{"id": at, **{key: _cell(cell) for key, cell in row.items()}} for at, row in enumerate(rows)]


def _cell(cell: Cell) -> dict[str, Any]:
    tone = (f"fw-{cell.tone} " if cell.tone else "") + ("fw-badge" if cell.badge else "")
    said = {"shown": cell.shown, "sort": _sort(cell), "to": cell.to, "tone": tone, "under": cell.under}
    return said | {"loud": cell.loud, "depth": min(cell.depth, _MOST_INDENTS)}
