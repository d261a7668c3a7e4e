"""What the cycle collector is told: cycles are still found."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from collector import memory


class Knot:
    """Refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


def test_cycles_are_still_found_while_records_stream() -> None:
    memory.settle()
    knot = weakref.ref(Knot())
    kept = [[[float(number)] for number in range(1000)] for _ in range(200)]
    assert knot() is None
    assert len(kept) == 200
    assert gc.isenabled()
