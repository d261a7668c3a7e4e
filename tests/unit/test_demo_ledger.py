"""The demo's proof that nothing is lost and nothing twice can fail."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from collector.series.audit import Counted, counted
from collector.series.duck import DuckStore
from collector.series.store import Unavailable
from collector.settings import Duckdb
from forewarn.demo.ledger import compared
from tests.rule_batches import Poll, batch, shape

WHOLE = [Counted("cam", 1000, 3, 3), Counted("cam", 2000, 2, 2)]


def test_what_is_all_there_once_is_neither_lost_nor_twice() -> None:
    assert compared({("cam", 1000): 3, ("cam", 2000): 2}, WHOLE) == (0, 0, 5)


def test_a_record_of_which_a_value_is_missing_is_lost() -> None:
    assert compared({("cam", 1000): 4, ("cam", 2000): 2}, WHOLE) == (1, 0, 5)


def test_a_record_that_is_not_there_at_all_is_lost() -> None:
    assert compared({("cam", 1000): 3, ("cam", 2000): 2, ("cam", 3000): 1}, WHOLE) == (1, 0, 5)


def test_a_record_without_any_value_needs_no_row() -> None:
    assert compared({("cam", 1000): 3, ("cam", 2000): 2, ("cam", 3000): 0}, WHOLE) == (0, 0, 5)


def test_a_row_that_is_there_twice_is_counted() -> None:
    assert compared({("cam", 1000): 3}, [Counted("cam", 1000, 4, 3)]) == (0, 1, 4)


def test_a_row_that_nobody_wrote_is_counted() -> None:
    assert compared({("cam", 1000): 3}, [*WHOLE[:1], Counted("ghost", 5, 1, 1)]) == (0, 1, 4)


def test_a_missing_value_and_a_double_one_do_not_make_up_for_each_other() -> None:
    assert compared({("cam", 1000): 3}, [Counted("cam", 1000, 3, 2)]) == (1, 1, 3)


VOLUME = shape(("volume", ["1"], ["used_percent", "free_bytes"]))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A closed store with two records: of the second one value is null."""
    store = DuckStore(tmp_path / "series.duckdb", Duckdb(), keep=10_000_000_000.0)
    polls = [
        Poll(1, 1_700_000_000_000, "nvr", VOLUME, [60.0, 5.0]),
        Poll(2, 1_700_000_060_000, "nvr", VOLUME, [61.0, float("nan")]),
    ]
    store.write(batch(polls))
    store.close()
    return tmp_path / "series.duckdb"


def test_a_closed_store_is_counted_row_by_row(file: Path) -> None:
    assert sorted(counted(file)) == [
        Counted("nvr", 1_700_000_000_000, 2, 2),
        Counted("nvr", 1_700_000_060_000, 1, 1),
    ]


def test_a_row_that_a_store_holds_twice_is_seen_although_reading_settles_it(file: Path) -> None:
    with duckdb.connect(str(file)) as db:
        (day,) = db.execute("SELECT name FROM day").fetchone() or ("",)
        db.execute(f'INSERT INTO "{day}" SELECT * FROM "{day}" WHERE t = 1700000060000')
    assert Counted("nvr", 1_700_000_060_000, 2, 1) in list(counted(file))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"none\.duckdb cannot be counted"):
        list(counted(tmp_path / "none.duckdb"))
