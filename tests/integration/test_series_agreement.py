"""DuckDB against the store in memory: whatever is written, in whatever order, with restarts between, both say alike."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from collector.series import duck
from collector.series.duck import DuckStore
from collector.series.memory import MemoryStore
from collector.series.store import SeriesStore
from collector.settings import Duckdb
from forewarn.settings import Duration
from rules.samples import Batch
from tests.series_batches import DISKS, NAN, NOW, VOLUMES, batch, rows

DAY = 86_400_000
LAZY = Duckdb(flush=Duration(3600))

value = st.sampled_from([0.0, 1.0, 2.5, NAN])
poll = st.tuples(
    st.sampled_from(["nvr1", "nvr2"]),
    st.integers(-40, 40).map(lambda n: NOW + n * (DAY // 10)),
    st.sampled_from([DISKS, VOLUMES]),
    st.lists(value, min_size=6, max_size=6),
)
act = st.one_of(
    st.lists(poll, min_size=1, max_size=6), st.just("flush"), st.just("restart"), st.just("tend"), st.just("again")
)


def made(position: int, polls: list[tuple[str, int, object, list[float]]]) -> Batch:
    parts = []
    for shape in (DISKS, VOLUMES):
        mine = [(device, t, values[: shape.width]) for device, t, which, values in polls if which is shape]
        if mine:
            parts.append(rows(shape, mine, position=position, arrived=NOW))
    return batch(position, *parts)


def told(store: SeriesStore) -> tuple[object, ...]:
    keys = store.series("s1")
    found = store.read(keys, 0, 2 * NOW, most=10**6)
    points = {key: (found[key].t.tolist(), found[key].value.tolist()) for key in keys}
    thin = {key: one.t.tolist() for key, one in store.read(keys, 0, 2 * NOW, most=3).items()}
    return keys, store.last("s1"), points, thin


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(act, max_size=12))
def test_both_stores_say_the_same(acts: list[object]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(duck, "QUIET", 0.0)
        patch.setattr("collector.series.days._SORT_ROWS", 10)
        path = Path(folder) / "series.duckdb"
        memory, real = MemoryStore(), DuckStore(path, LAZY, bulk=40)
        written = batch(0)
        for position, one in enumerate(acts, 1):
            if one == "restart":
                real.close()
                real = DuckStore(path, LAZY, bulk=40)
            elif one == "tend":
                real.tend(NOW + 3 * DAY)
            elif one == "flush":
                real.read([], 0, 1)
            else:
                written = written if one == "again" else made(position, one)  # type: ignore[arg-type]
                memory.write(written)
                real.write(written)
        assert told(real) == told(memory)
        real.close()
