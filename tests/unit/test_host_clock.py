"""Whether this machine's clock is kept, and how far it is off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agent.host.children import Answer
from agent.host.parts import Row
from agent.host.timekeeping import Timekeeping, offset_of
from agent.host.told import ToldCommands
from forewarn.kernel_clock import Kept, Unsaid, judged, kept
from tests.clocks import SteppedClock

SLOW = "C0A80101,192.168.1.1,3,1700000000.1,0.004200000,-0.0001,0.0002,-1.5,0.0,0.1,0.02,0.001,64.5,Normal\n"
ALONE = "7F7F0101,,0,0.0,0.000000000,0.0,0.0,0.0,0.0,0.0,1.0,1.0,0.0,Not synchronised\n"


def read(kernel: Kept | Unsaid, **commands: Answer) -> Row:
    part = Timekeeping(ToldCommands(commands), SteppedClock().monotonic, kernel=lambda: kernel)
    part.read(None)
    part.settle(5)
    return part.read(60.0)["device"][""]


def test_a_clock_that_nothing_keeps_has_no_offset() -> None:
    assert read(judged(5, 0x0041, 1200, 16_000_000)) == {"clock_synchronised": 0, "clock_offset_seconds": None}


def test_what_a_daemon_has_told_the_kernel_is_the_offset() -> None:
    ahead = judged(0, 0x2001, -3_000_000, 5000)
    assert read(ahead) == {"clock_synchronised": 1, "clock_offset_seconds": 0.003}
    assert judged(0, 0x0001, 2500, 5000).offset_seconds == -0.0025, "in microseconds, and slow"


def test_chrony_knows_better_than_the_kernel_which_it_does_not_tell() -> None:
    kernel = judged(0, 0x2000, 0, 5000)
    assert read(kernel)["clock_offset_seconds"] is None
    assert read(kernel, chronyc=Answer(0, SLOW))["clock_offset_seconds"] == -0.0042
    assert read(kernel, chronyc=Answer(0, ALONE))["clock_offset_seconds"] is None
    assert read(kernel, chronyc=Answer(1, "506 Cannot talk to daemon\n"))["clock_offset_seconds"] is None


def test_a_system_that_does_not_say_has_neither() -> None:
    assert read(Unsaid("Operation not permitted")) == {"clock_synchronised": None, "clock_offset_seconds": None}


def test_this_machines_kernel_is_understood() -> None:
    found = kept()
    if isinstance(found, Unsaid):
        assert isinstance(found.why, str)
    else:
        assert found.error_seconds >= 0
        assert found.synchronised or found.offset_seconds is None


@given(
    some.text() | some.lists(some.sampled_from(["nan", "inf", "1e999", "-3", "x", "Normal"]), max_size=20).map(",".join)
)
def test_whatever_chrony_prints_no_offset_is_invented(text: str) -> None:
    found = offset_of(text)
    assert found is None or abs(found) == 3


@pytest.mark.parametrize("columns", [13, 14])
def test_a_line_that_is_cut_off_says_nothing(columns: int) -> None:
    cut = ",".join(SLOW.split(",")[:columns])
    assert offset_of(cut) == (-0.0042 if columns == 14 else None)
