"""What commands note beside the agent stands in its log by its time, once, and takes bounded room."""

from __future__ import annotations

import os
from pathlib import Path

from agent.logbook import pages
from agent.logbook.pages import LOOKED, RUN, Entry
from agent.logbook.reader import Reader


def page(folder: Path, *times: int) -> None:
    """The agent's own page, with an entry at each of some times."""
    handle = pages.opened(pages.named(folder, 1))
    for at in times:
        os.write(handle, pages.encoded(Entry(at=at, kind=RUN)))
    os.close(handle)


def note(folder: Path, at: int) -> None:
    pages.note(folder, Entry(at=at, kind=LOOKED, text={"state": "began"}))


def test_a_note_stands_between_what_happened_before_and_after_it_and_is_read_once(tmp_path: Path) -> None:
    page(tmp_path, 1000, 3000)
    note(tmp_path, 2000)
    note(tmp_path, 4000)
    reader = Reader(tmp_path)
    assert [(one.entry.at, one.entry.kind) for one in reader.more()] == [
        (1000, RUN),
        (2000, LOOKED),
        (3000, RUN),
        (4000, LOOKED),
    ]
    assert list(reader.more()) == []
    note(tmp_path, 5000)
    assert [one.entry.at for one in reader.more()] == [5000]


def test_notes_take_bounded_room_and_the_newest_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(pages, "MOST_BY_HAND", 500)
    for at in range(1, 60):
        note(tmp_path, at)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 3 * 500
    times = [one.entry.at for one in pages.noted(tmp_path)]
    assert times == list(range(times[0], 60))
    assert pages.pages(tmp_path) == [], "the agent takes them for no page of its own"


def test_a_note_that_was_cut_off_hides_no_other(tmp_path: Path) -> None:
    note(tmp_path, 1)
    with (tmp_path / pages.BY_HAND).open("ab") as file:
        file.write(b"\0\0")
    assert [one.entry.at for one in pages.noted(tmp_path)] == [1]
    note(tmp_path, 2)
    assert [one.entry.at for one in pages.noted(tmp_path)] == [1, 2]
