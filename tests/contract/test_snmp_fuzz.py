"""Whatever a device answers: no crash, no hang, and no value that the answer did not tell. 2,000 cases over both adapters.

`python -m bench fuzz` runs the same by the hundred thousand.
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.snmp import gufo, pysnmp, pysnmp_exchange
from forewarn.demo import ber
from tests import fuzzing
from tests.interpreting import Part, Possible, answered, meanings, shown
from tests.polling import RECORDINGS, shipped

CASES = {"gufo answers": 1240, "pysnmp answers": 250, "gufo recordings": 500, "pysnmp recordings": 10}
ADAPTERS = {"gufo": gufo.connect, "pysnmp": pysnmp.connect}
QUIET = settings(
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pysnmp_exchange, "GRACE", 0.05)
    logging.getLogger("agent").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("agent").setLevel(logging.NOTSET)


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_whatever_is_answered_nothing_breaks_hangs_or_is_invented(name):
    cases = fuzzing.Answers(ADAPTERS[name])

    @settings(QUIET, max_examples=CASES[f"{name} answers"])
    @given(fuzzing.ASKED, st.lists(fuzzing.ANSWERS, min_size=1, max_size=3))
    def case(asked: fuzzing.Asked, wrong: list[fuzzing.Answer]) -> None:
        cases.run(asked, wrong)

    try:
        case()
    finally:
        cases.close()
    assert cases.heard > CASES[f"{name} answers"] // 4, "most cases were errors: they proved little"


@pytest.mark.parametrize("name", sorted(ADAPTERS))
def test_a_record_has_no_value_that_its_device_did_not_show(name):
    cases = fuzzing.Recorded(ADAPTERS[name])

    @settings(QUIET, max_examples=CASES[f"{name} recordings"])
    @given(st.sampled_from(cases.profiles), st.lists(fuzzing.CHANGES, min_size=2, max_size=2))
    def case(profile: str, changes: list[list[fuzzing.Change]]) -> None:
        cases.run(profile, changes)

    try:
        case()
    finally:
        cases.close()
    assert cases.heard > CASES[f"{name} recordings"] * 5, "most values were null: they proved little"


def test_the_second_reading_knows_types_by_their_octets():
    assert set(meanings(Part(0x41, b"\xff\xff\xff\xff"))) == {2**32 - 1}
    assert set(meanings(Part(0x02, b"\xff\xff\xff\xff"))) == {-1}
    assert meanings(Part(0x44, b"\x9f\x78\x04" + struct.pack(">f", 1.5)))[1:] == [1.5]
    assert meanings(Part(0x40, bytes((192, 0, 2, 1)))) == ["192.0.2.1"]
    assert [meanings(Part(tag, b"")) for tag in (0x05, 0x80, 0x81, 0x82)] == [[], [], [], []]


def test_the_second_reading_takes_no_answer_to_another_request():
    to = ber.Request(b"public", ber.GET, 7, 0, 0, [])
    answer = ber.response(to, ber.bind(ber.oid("1.3.6.1.2.1.1.3.0"), ber.value(67, 5)))
    assert answered(answer, 7) == {"1.3.6.1.2.1.1.3.0": [5, 5]}
    assert answered(answer, 8) == {}


def test_the_second_reading_refuses_a_record_that_was_not_shown():
    """As a mistake of the agent would make it: another scale, 0 for what is not there, a sum over what is unknown."""
    objects = ber.recorded((RECORDINGS / "ups.rfc1628.snmprec").read_text())
    charge = "1.3.6.1.2.1.33.1.2.4.0"
    objects[charge] = ber.value(2, 31)
    showing = Possible(shipped()["ups.rfc1628"], [shown(objects, 0.0)])
    assert showing.allows("ups", "charge_percent", 31.0)
    assert not showing.allows("ups", "charge_percent", 3.1)
    assert not showing.allows("ups", "charge_percent", float("nan"))
    del objects[charge]
    assert not Possible(shipped()["ups.rfc1628"], [shown(objects, 0.0)]).allows("ups", "charge_percent", 0.0)
