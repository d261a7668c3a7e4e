"""Which profile a device gets, by what it shows."""

from __future__ import annotations

import pytest

from agent.matching import DESCRIPTION, OBJECT_ID, best, questions
from agent.profile import shipped

UPS_MIB = {"1.3.6.1.2.1.33.1.2.1.0": 2}
APC = {OBJECT_ID: "1.3.6.1.4.1.318.1.3.27", "1.3.6.1.4.1.318.1.1.1.2.1.1.0": 2}


@pytest.mark.parametrize(
    ("known", "profile"),
    [
        ({}, "generic"),
        ({OBJECT_ID: "1.3.6.1.4.1.50001"}, "hikvision.recorder"),
        ({DESCRIPTION: b"Hikvision company products"}, "hikvision.recorder"),
        ({"1.3.6.1.4.1.39165.1.1.0": b"DS-2CD2185FWD-I"}, "hikvision.camera"),
        (APC, "ups.apc"),
        (APC | UPS_MIB, "ups.apc"),
        (UPS_MIB, "ups.rfc1628"),
        ({OBJECT_ID: "1.3.6.1.4.1.318.1.3.4.6"}, "generic"),
        ({OBJECT_ID: "1.3.6.1.4.1.500011.1"}, "generic"),
        ({"1.3.6.1.2.1.17.1.2.0": 24, "1.3.6.1.2.1.25.1.1.0": 1}, "switch.generic"),
        ({"1.3.6.1.2.1.25.1.1.0": 1}, "server.host-resources"),
    ],
)
def test_the_most_particular_profile_that_fits_wins(known, profile):
    fit = best(shipped().values(), known)
    assert fit is not None
    assert fit.profile.id == profile


def test_why_a_profile_fits_does_not_change_with_what_a_counter_shows():
    probe = "1.3.6.1.2.1.25.1.1.0"
    reasons = {fit.why for ticks in (1, 2) if (fit := best(shipped().values(), {probe: ticks}))}
    assert reasons == {f"{probe} exists"}


def test_a_device_is_asked_once_for_everything_that_profiles_want_to_see():
    asked = questions(shipped().values())
    assert len(asked) == len(set(asked))
    assert len(asked) <= 16, "one small request"
