"""Which profile a device gets, by what it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from agent.profiles.files import load, shipped
from agent.profiles.matching import (
    DESCRIPTION,
    OBJECT_ID,
    Fit,
    Shown,
    best,
    find,
    inventory,
    judge,
    questions,
    shown_texts,
)
from agent.snmp.played import PlayedExchange
from agent.snmp.requester import Requester
from agent.snmp.session import Value

UPS_MIB = {"1.3.6.1.2.1.33.1.2.1.0": 2}
APC = {OBJECT_ID: "1.3.6.1.4.1.318.1.3.27", "1.3.6.1.4.1.318.1.1.1.2.1.1.0": 2}


def found(known, seen=(), profiles=None) -> Fit:
    """What fits a device that has no more tables than those `seen`."""
    shown = Shown(dict(known), dict.fromkeys(seen, True))
    while isinstance(answer := best((profiles or shipped()).values(), shown), str):
        shown.seen[answer] = False
    assert answer is not None
    return answer


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
    assert found(known).profile.id == profile


BRIDGE = {"1.3.6.1.2.1.17.1.2.0": 2}
HUAWEI = "1.3.6.1.4.1.2011.2"


@pytest.mark.parametrize(
    "known",
    [
        # As recorded: an ME60 without a description, an ACU2; as in public lists: an AR1220, an NE40E, an NE20E.
        *({OBJECT_ID: f"{HUAWEI}.{number}"} for number in ("89.5", "240.7", "224.1", "62.2.5", "88.2")),
        {
            OBJECT_ID: "1.3.6.1.4.1.25506.1.264",
            DESCRIPTION: b"H3C Comware Platform Software, Software H3C WX6103. Product",
        },
        {
            OBJECT_ID: "1.3.6.1.4.1.25506.1.612",
            DESCRIPTION: b"H3C Comware Platform Software LSQ1WCMD0. Product Version",
        },
        {
            OBJECT_ID: "1.3.6.1.4.1.25506.1.1",
            DESCRIPTION: b"H3C Comware Platform Software, Software Version 7.1.064, Release 5435\r\nH3C WX5540H",
        },
    ],
)
def test_routers_and_controllers_of_wireless_access_points_are_no_switches_though_they_bridge(known):
    fit = found(known | BRIDGE)
    assert (fit.profile.id, fit.profile.kind) == ("generic.network", "other")


@pytest.mark.parametrize(
    ("object_id", "description", "profile"),
    [
        (f"{HUAWEI}.23.276", b"S5720-36C-EI-AC", "switch.huawei"),
        (f"{HUAWEI}.279.3", b"S12704", "switch.huawei"),
        (f"{HUAWEI}.239.1", b"CE6850", "switch.huawei"),
        ("1.3.6.1.4.1.25506.1.578", b"H3C Switch E528 Software Version 5.20", "switch.h3c"),
        (
            "1.3.6.1.4.1.25506.1.1",
            b"H3C Comware Platform Software, Version 7.1.070\r\nH3C S5560S-28P-PWR",
            "switch.h3c",
        ),
    ],
)
def test_switches_of_the_same_makers_stay_switches(object_id, description, profile):
    assert found({OBJECT_ID: object_id, DESCRIPTION: description} | BRIDGE).profile.id == profile


def test_why_a_profile_fits_does_not_change_with_what_a_counter_shows():
    probe = "1.3.6.1.2.1.25.1.1.0"
    reasons = {found({probe: ticks}).why for ticks in (1, 2)}
    assert reasons == {f"{probe} exists, sysObjectID is ``"}


def test_a_device_is_asked_once_for_everything_that_profiles_want_to_see():
    asked = questions(shipped().values())
    assert len(asked) == len(set(asked))
    assert len(asked) <= 24, "one small request"


def family(name: str, match: str, **given: str):
    return load(f"id: {name}\nkind: other\nmatch: {match}\n" + "".join(f"{k}: {v}\n" for k, v in given.items()), name)


def families(**matches: str):
    return {name: family(name, match) for name, match in matches.items()}


def test_of_one_priority_the_longer_object_id_wins_and_the_exact_one_before_all():
    profiles = families(
        a="{any: [{sysobjectid: 1.3.6.1.4.1.9*}]}",
        b="{any: [{sysobjectid: 1.3.6.1.4.1.9.1*}]}",
        c="{any: [{sysobjectid: 1.3.6.1.4.1.9.1.5}]}",
        d="{any: [{sysdescr: x}]}",
    )
    shown = {DESCRIPTION: b"x"}
    for object_id, name in (("9.1.5", "c"), ("9.1.6", "b"), ("9.2", "a"), ("10", "d")):
        assert found(shown | {OBJECT_ID: f"1.3.6.1.4.1.{object_id}"}, profiles=profiles).profile.id == name


def test_a_profile_comes_before_the_one_it_extends():
    mine = load("id: a-mine\nextends: [ups.apc]\n", "x")
    assert found(APC, profiles=shipped() | {"a-mine": mine}).profile.id == "a-mine"
    mine = load("id: z-mine\nextends: [ups.apc]\n", "x")
    assert found(APC, profiles=shipped() | {"z-mine": mine}).profile.id == "z-mine"


def test_a_table_is_asked_for_only_when_it_decides():
    profiles = families(
        high="{priority: 9, all: [{sysdescr: acme}, {exists: 1.3.6.1.2.1.105.1.1}]}",
        low="{priority: 1, any: [{exists: 1.3.6.1.2.1.17.1.4}]}",
        least="{priority: 0}",
    )
    shown = Shown({DESCRIPTION: b"other"})
    assert best(profiles.values(), shown) == "1.3.6.1.2.1.17.1.4"
    shown = Shown({DESCRIPTION: b"acme"})
    assert best(profiles.values(), shown) == "1.3.6.1.2.1.105.1.1"
    shown.seen["1.3.6.1.2.1.105.1.1"] = True
    fit = best(profiles.values(), shown)
    assert isinstance(fit, Fit)
    assert (fit.profile.id, fit.why) == ("high", "sysDescr has `acme`, 1.3.6.1.2.1.105.1.1 has rows")


@pytest.mark.parametrize(
    ("match", "holds", "why"),
    [
        ("{any: [{sysobjectid: ''}]}", False, "sysObjectID is `1.3.9`, not ``"),
        ("{any: [{not: {sysobjectid: ''}}]}", True, "sysObjectID is `1.3.9`, not ``"),
        ("{all: [{sysdescr: cam}, {not: {probe: 1.3.5.0}}]}", True, "sysDescr has `cam`, no 1.3.5.0"),
        ("{all: [{sysdescr: Cam}, {probe: 1.3.4.0}]}", False, "sysDescr has no `Cam`"),
        ("{any: [{sysdescr: Cam}, {probe: 1.3.5.0}]}", False, "sysDescr has no `Cam`, no 1.3.5.0"),
        ("{any: [{probe: 1.3.4.0, matches: ^7}]}", True, "1.3.4.0 has `^7`"),
        ("{any: [{probe: 1.3.4.0, matches: ^8}]}", False, "1.3.4.0 has no `^8`"),
        ("{any: [{exists: 1.3.6}]}", False, "nothing under 1.3.6"),
        ("{any: [{exists: 1.3.7}, {sysdescr: cam}]}", True, "sysDescr has `cam`"),
        ("{all: [{exists: 1.3.7}, {sysdescr: cam}]}", None, "1.3.7 not asked for"),
    ],
)
def test_every_condition_says_why(match, holds, why):
    shown = Shown({OBJECT_ID: "1.3.9", DESCRIPTION: b"a cam", "1.3.4.0": 71}, {"1.3.6": False})
    judged = judge(family("x", match), shown)
    assert (judged.holds, judged.why) == (holds, why)


def test_a_profile_without_a_match_is_used_only_where_the_settings_name_it():
    judged = judge(load("id: x\nkind: other\n", "x"), Shown({}))
    assert (judged.holds, judged.why) == (False, "has no `match`: used only where the settings name it")


def test_zero_dot_zero_is_no_object_id():
    judged = judge(family("x", "{any: [{sysobjectid: ''}]}"), Shown({OBJECT_ID: "0.0"}))
    assert judged.holds


def test_a_text_of_a_chosen_row_stands_before_one_of_a_fixed_row():
    entity = "1.3.6.1.2.1.47.1.1.1.1"
    objects: dict[str, Value] = {
        f"{entity}.5.1": 11,
        f"{entity}.5.1001": 3,
        f"{entity}.5.2001": 3,
        f"{entity}.11.1": b"STACK",
        f"{entity}.11.1001": b"",
        f"{entity}.11.2001": b"CHASSIS 2",
        f"{entity}.13.1": b"of row 1",
        "1.3.1.0": b"Model X-1, serial 77",
    }
    profile = load(
        "id: x\nkind: switch\nextends: [std.entity]\ninventory: {hardware: {oid: 1.3.1.0, find: 'serial (.*)'}}\n", "x"
    )
    session = Requester(PlayedExchange(objects))
    found = asyncio.run(shown_texts(profile, session))
    texts = inventory(Fit(profile, "a test"), {}, found)
    assert (texts["serial"], texts["model"], texts["hardware"]) == ("CHASSIS 2", "of row 1", "77")
    assert "vendor" not in texts


class Older(PlayedExchange):
    """SNMP v1: one object that is not there refuses the whole request."""

    def __init__(self, objects: dict[str, Value]) -> None:
        super().__init__(objects)
        self.all_or_none = True

    async def get(self, oids: Sequence[str]) -> dict[str, Value]:
        got = await super().get(oids)
        return got if len(got) == len(oids) else {}


def test_a_device_that_refuses_a_request_for_one_missing_object_is_still_known_by_the_others():
    session = Requester(Older(APC | {DESCRIPTION: b"APC", "1.3.6.1.2.1.1.3.0": 1}))
    fit, shown = asyncio.run(find(shipped().values(), session))
    assert fit is not None
    assert fit.profile.id == "ups.apc"
    assert shown.known.keys() >= APC.keys()
    assert session.requests <= 40
