"""A refused password is not said again: by any source of its device, nor after a restart, nor when clocks are set."""

from __future__ import annotations

from pathlib import Path

from agent.devices.lockout import REST, Lockout, Refusals
from agent.devices.remembered import FILE, Memory
from agent.settings.login import Password
from tests.clocks import SteppedClock

WRONG = Password("forewarn", "open-sesame")


def test_who_was_refused_rests_and_two_refusals_end_it_for_every_source():
    clock = SteppedClock()
    lockout = Lockout(clock)
    lockout.refused(WRONG, "isapi", "credentials refused")
    assert lockout.left(WRONG, "isapi") == REST
    assert lockout.left(WRONG, "onvif") == 0, "one source may lack a right of its own"
    clock.step(60)
    lockout.refused(WRONG, "onvif")
    assert lockout.left(WRONG, "rtsp a") == REST - 60, "until the first of the two is over"
    assert lockout.why(WRONG) == "credentials refused"
    clock.step(REST - 60)
    assert lockout.left(WRONG, "rtsp a") == lockout.left(WRONG, "isapi") == 0
    assert lockout.left(WRONG, "onvif") == 60


def test_a_changed_password_is_said_at_once_but_not_for_ever_another():
    lockout = Lockout(SteppedClock())
    for number in range(4):  # Devices lock from five on.
        guess = Password("forewarn", f"guess {number}")
        assert lockout.left(guess, "isapi") == 0
        lockout.refused(guess, "isapi")
    assert lockout.left(Password("forewarn", "one more"), "isapi") == REST
    assert lockout.why(Password("forewarn", "one more")) == "other passwords were refused by this device"


def test_what_one_source_may_and_another_may_not_is_no_wrong_password():
    lockout = Lockout(SteppedClock())
    for stream in ("rtsp a", "rtsp b"):
        lockout.refused(WRONG, stream)
    assert lockout.left(WRONG, "isapi") > 0
    lockout.accepted(WRONG, "isapi")
    assert lockout.left(WRONG, "isapi") == 0
    assert lockout.left(WRONG, "onvif") == 0
    assert lockout.left(WRONG, "rtsp c") > 0, "two streams of them are enough to know"
    lockout.accepted(WRONG, "rtsp d")
    assert lockout.left(WRONG, "rtsp c") == 0, "one stream does take it"
    assert lockout.left(WRONG, "rtsp a") > 0


def test_a_password_that_is_changed_on_the_device_is_said_twice_however_many_knew_it():
    lockout = Lockout(SteppedClock())
    streams = [f"rtsp {number}" for number in range(16)]
    for stream in streams:
        lockout.accepted(WRONG, stream)
    said = 0
    for stream in streams:
        if not lockout.left(WRONG, stream):
            said += 1
            lockout.refused(WRONG, stream)
    assert said == 2


def test_a_restart_forgets_no_refusal_and_no_password_is_on_disk(tmp_path: Path):
    clock = SteppedClock()
    memory = Memory(tmp_path, ["cam-1"])
    Lockout(clock, memory.devices["cam-1"].refusals).refused(WRONG, "isapi", "credentials refused for user `forewarn`")
    memory.save()
    kept = (tmp_path / FILE).read_text()
    assert "sesame" not in kept
    clock.step(600)
    again = Lockout(clock, Memory(tmp_path, ["cam-1"]).devices["cam-1"].refusals)
    assert again.left(WRONG, "isapi") == REST - 600
    assert again.why(WRONG) == "credentials refused for user `forewarn`"
    assert again.left(Password("forewarn", "right"), "isapi") == 0
    clock.step(REST - 600)
    assert again.left(WRONG, "isapi") == 0


def test_two_devices_with_one_password_keep_hashes_that_differ(tmp_path: Path):
    memory = Memory(tmp_path, ["cam-1", "cam-2"])
    for each in memory.devices.values():
        Lockout(SteppedClock(), each.refusals).refused(WRONG, "isapi")
    one, two = (each.refusals.each[0].of for each in memory.devices.values())
    assert one != two


def test_a_clock_that_is_set_makes_no_rest_longer():
    clock = SteppedClock()
    known = Refusals()
    Lockout(clock, known).refused(WRONG, "isapi")
    clock.jump(-86400 * 365)
    assert Lockout(clock, known).left(WRONG, "isapi") == REST


def test_nothing_is_written_of_a_device_that_refused_nothing(tmp_path: Path):
    memory = Memory(tmp_path, ["cam-1"])
    lockout = Lockout(SteppedClock(), memory.devices["cam-1"].refusals)
    lockout.accepted(WRONG, "isapi")
    assert lockout.left(WRONG, "isapi") == 0
    assert memory.devices["cam-1"].refusals == Refusals()
