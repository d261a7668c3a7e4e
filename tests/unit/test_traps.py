"""What traps mean, whom they are taken from, and that no octets harm whoever reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyasn1.codec.ber import encoder
from pysnmp.entity import config
from pysnmp.proto.api import v2c

from agent.settings import Settings
from agent.settings.credential import Access
from agent.traps import known, pipe
from agent.traps.gate import LARGEST, OTHERS, REMEMBERED, STRANGERS, Gate, Repeats, Why
from agent.traps.message import KEPT_OBJECTS, Heard, Unread, read
from agent.traps.pipe import Notice, Order
from agent.traps.receiver import Receiver
from forewarn.settings import SettingError
from forewarn.settings import read as read_settings

WORDS = known.load()
LINK_DOWN = "1.3.6.1.6.3.1.1.5.3"


def notice(trap: str, *binds: tuple[str, str], **changed: Any) -> Notice:
    given = {"id": 1, "t": 0, "address": "127.0.0.1", "version": "2c", "inform": False}
    return Notice(trap=trap, binds=list(binds), **(given | changed))


def test_a_port_is_named_by_what_the_switch_calls_it_best():
    index, name = ("1.3.6.1.2.1.2.2.1.1.7", "7"), ("1.3.6.1.2.1.31.1.1.1.1.7", "Gi0/7")
    assert known.told(notice(LINK_DOWN, index, name), WORDS)["instance"] == "Gi0/7"
    assert known.told(notice(LINK_DOWN, index), WORDS)["instance"] == "7"
    assert known.told(notice(LINK_DOWN, ("1.3.6.1.2.1.2.2.1.8.9", "2")), WORDS)["instance"] == "9"
    assert "instance" not in known.told(notice(LINK_DOWN), WORDS)


@pytest.mark.parametrize(
    ("trap", "event", "severity"),
    [
        ("1.3.6.1.2.1.33.2.1", "on battery", "critical"),
        ("1.3.6.1.2.1.33.2.0.1", "on battery", "critical"),
        ("1.3.6.1.4.1.318.0.17", "battery to be replaced", "critical"),
        ("1.3.6.1.2.1.105.0.1", "PoE of a port changed", "warning"),
        ("1.3.6.1.4.1.1004849.2.11.13.1", "storage failed", "critical"),
        ("1.3.6.1.4.1.1004849.2.11.13.0.1", "storage failed", "critical"),
        ("1.3.6.1.4.1.368.4.2.0.2", "alarm ended", "none"),
    ],
)
def test_traps_have_words_in_either_form(trap, event, severity):
    text = known.told(notice(trap), WORDS)
    assert (text["event"], text["severity"], text["trap"]) == (event, severity, trap)
    assert text["zh"]


def test_an_unknown_trap_keeps_its_number_and_what_it_says():
    text = known.told(notice("1.3.6.1.4.1.4242.0.1", ("1.3.6.1.4.1.4242.1.1.0", "fan 2"), more=3), WORDS)
    assert text == {
        "event": "unknown trap",
        "trap": "1.3.6.1.4.1.4242.0.1",
        "1.3.6.1.4.1.4242.1.1.0": "fan 2",
        "left_out": "3",
    }


def test_what_a_device_says_cannot_pass_for_a_word_of_ours():
    text = known.told(notice("1.3.6.1.4.1.4242.0.1", ("1.3.6.1.4.1.4242.1", "x"), repeated=2), WORDS)
    assert (text["event"], text["repeated"]) == ("unknown trap", "2")


def test_a_trap_with_two_meanings_is_refused_with_its_place(tmp_path: Path):
    row = "{oid: 1.3.6.1.4.1.1.0.1, event: one, zh: 一, severity: none}"
    (tmp_path / "a.yaml").write_text(f"src: x\ntraps:\n  - {row}\n  - {row}\n")
    with pytest.raises(SettingError, match=r"a\.yaml:4:11: `1\.3\.6\.1\.4\.1\.1\.0\.1` is `one` already"):
        known.load(tmp_path)


def test_a_device_may_burst_and_then_as_much_as_is_agreed():
    gate = Gate(["a", "b"], rate=10, burst=50)
    assert [gate.judge("a", 100, 1.0) for _ in range(60)] == [None] * 50 + [Why.TOO_MANY] * 10
    assert gate.judge("b", 100, 1.0) is None, "others are not harmed"
    assert [gate.judge("a", 100, 2.0) for _ in range(12)] == [None] * 10 + [Why.TOO_MANY] * 2
    assert gate.over() == {"a": 12}
    assert gate.over() == {}
    assert gate.judge("b", LARGEST + 1, 2.0) is Why.TOO_LARGE


def test_strangers_are_named_up_to_a_bound():
    gate = Gate([], rate=10, burst=50)
    for number in range(1000):
        assert gate.judge(f"10.0.{number // 256}.{number % 256}", 100, 0.0) is Why.STRANGER
    assert len(gate.strangers) == STRANGERS + 1
    assert gate.strangers[OTHERS] == 1000 - STRANGERS


def test_repeats_are_known_for_a_window_and_forgotten_at_a_bound():
    repeats: Repeats[str] = Repeats(5.0)
    repeats.remember(b"x", "first", 0.0)
    assert (repeats.again(b"x", 4.9), repeats.again(b"y", 4.9)) == ("first", None)
    assert list(repeats.ended(4.9)) == []
    assert repeats.again(b"x", 5.0) is None
    assert list(repeats.ended(5.0)) == [("first", 1)]
    for number in range(REMEMBERED):
        repeats.remember(str(number).encode(), str(number), 6.0)
    assert list(repeats.ended(6.0)) == [("0", 0)]


def octets(pdu: Any, *binds: tuple[str, Any], community: str = "site", version: int = 1) -> bytes:
    v2c.apiPDU.set_defaults(pdu)
    v2c.apiPDU.set_varbinds(pdu, [(v2c.ObjectIdentifier(oid), value) for oid, value in binds])
    message = v2c.Message()
    v2c.apiMessage.set_defaults(message)
    v2c.apiMessage.set_version(message, version)
    v2c.apiMessage.set_community(message, community)
    v2c.apiMessage.set_pdu(message, pdu)
    return bytes(encoder.encode(message))


UPTIME = ("1.3.6.1.2.1.1.3.0", v2c.TimeTicks(55))
TRAP = ("1.3.6.1.6.3.1.1.4.1.0", v2c.ObjectIdentifier(LINK_DOWN))


def refused(data: bytes) -> Why:
    with pytest.raises(Unread) as wrong:
        read(data, [b"site"], lambda _: None)
    return wrong.value.why


def test_what_a_device_says_is_bounded_and_readable():
    name = "1.3.6.1.4.1.4242.1"
    texts = [v2c.OctetString("硬盘".encode("gbk")), v2c.OctetString(b"\x00\x01\xff"), v2c.OctetString("x" * 2000)]
    binds = [(f"{name}.{at}", value) for at, value in enumerate([*texts, *[v2c.Integer(7)] * 60])]
    found = read(octets(v2c.SNMPv2TrapPDU(), UPTIME, TRAP, *binds), [b"other", b"site"], lambda _: None)
    assert (found.trap, len(found.binds), found.more) == (LINK_DOWN, KEPT_OBJECTS, 63 - KEPT_OBJECTS)
    assert [value for _, value in found.binds[:2]] == ["硬盘", "00:01:ff"]
    assert len(found.binds[2][1]) == 256


def test_what_is_no_notification_of_ours_is_refused_by_reason():
    assert refused(octets(v2c.SNMPv2TrapPDU(), UPTIME, TRAP, community="public")) is Why.COMMUNITY
    assert refused(octets(v2c.GetRequestPDU(), UPTIME, TRAP)) is Why.MALFORMED
    assert refused(octets(v2c.SNMPv2TrapPDU(), UPTIME)) is Why.MALFORMED
    assert refused(octets(v2c.SNMPv2TrapPDU(), UPTIME, TRAP, version=7)) is Why.MALFORMED
    many = [(f"1.3.6.1.4.1.4242.{at}", v2c.Integer(at)) for at in range(300)]
    assert refused(octets(v2c.SNMPv2TrapPDU(), UPTIME, TRAP, *many)) is Why.TOO_LONG
    assert refused(b"") is Why.MALFORMED


ORDER = Order(
    address="127.0.0.1",
    port=0,
    sources={"10.0.0.1": [0, 1]},
    accesses=[
        Access("2c", "site"),
        Access("3", user="u", authentication="sha", authentication_key="authpass1"),
    ],
    engine="8000fde8056162636465",
    boots=1,
    rate=1e9,
    burst=10**9,
)
TOLD: list[Any] = []
RECEIVER = Receiver(ORDER, TOLD.append, now=lambda: 0, monotonic=lambda: 1.0)
GOOD = octets(v2c.SNMPv2TrapPDU(), UPTIME, TRAP, ("1.3.6.1.2.1.2.2.1.1.7", v2c.Integer(7)))
INFORM = octets(v2c.InformRequestPDU(), UPTIME, TRAP)
# A trap of user `u` and the question that comes before an inform, as net-snmp sends them.
V3 = bytes.fromhex(
    "30818c02010330110204192932ff020300ffe3040101020103042530230408800000000102030402010102010a040175040c"
    "a129c46a1d7096d20aac07b30400304d041180001f88802bd9aa7af950036b000000000400a73602045f02d3b30201000201"
    "003028300d06082b060102010103004301053017060a2b06010603010104010006092b0601060301010503"
)
WHO = bytes.fromhex(
    "304f02010330110204512a0d8b020300ffe30401040201030410300e04000201000201000400040004003025041180001f88"
    "80a265a676f950036b000000000400a00e0204223832070201000201003000"
)
SPOILT = st.builds(
    lambda whole, at, new, cut: (whole[: at % len(whole)] + new + whole[at % len(whole) + len(new) :])[: cut or None],
    st.sampled_from([GOOD, INFORM, V3, WHO]),
    st.integers(0, 500),
    st.binary(max_size=6),
    st.integers(0, 120),
)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(SPOILT, SPOILT, st.binary(max_size=300)))
def test_no_octets_harm_the_process_and_each_datagram_is_accounted_for(data):
    tally = RECEIVER.tally
    before = tally.heard + sum(tally.dropped.values())
    sent: list[bytes] = []
    RECEIVER.connection_made(_Out(sent))  # type: ignore[arg-type]
    RECEIVER.datagram_received(data, ("10.0.0.1", 5000))
    counted = tally.heard + sum(tally.dropped.values()) - before
    assert counted == 1 or (counted, len(sent)) == (0, 1), "read, dropped with its reason, or told who we are"
    assert len(sent) <= 1
    for told in TOLD:
        assert isinstance(told, Notice)
        assert len(msgspec.json.encode(told)) < pipe.LINE
        RECEIVER.kept(pipe.Kept(told.id, stored=False))
    TOLD.clear()


class _Out:
    def __init__(self, sent: list[bytes]) -> None:
        self.sent = sent

    def get_extra_info(self, _: str) -> None:
        return None

    def sendto(self, octets: bytes, _: Any) -> None:
        self.sent.append(octets)


def test_whoever_asks_who_we_are_is_told_and_nothing_is_made_of_it():
    sent: list[bytes] = []
    RECEIVER.connection_made(_Out(sent))  # type: ignore[arg-type]
    RECEIVER.datagram_received(WHO, ("10.0.0.1", 5000))
    assert len(sent) == 1
    assert bytes.fromhex(ORDER.engine) in sent[0]
    assert TOLD == []


def test_engines_that_somebody_invents_are_forgotten_and_a_true_one_is_met_again(monkeypatch):
    monkeypatch.setattr("agent.traps.users.ENGINES", 3)
    forgotten: list[str] = []
    forget = config.delete_v3_user

    def noted(engine: Any, user: str, whose: Any) -> None:
        forgotten.append(bytes(whose).hex()[-2:])
        forget(engine, user, whose)

    monkeypatch.setattr(config, "delete_v3_user", noted)
    told: list[Any] = []
    receiver = Receiver(ORDER, told.append, monotonic=lambda: 1.0)
    engine = bytes.fromhex("8000000001020304")
    for number in range(6):
        receiver.datagram_received(V3.replace(engine, engine[:-1] + bytes([number + 64])), ("10.0.0.1", 5000))
    assert receiver.tally.dropped == {Why.USER: 6}
    assert forgotten == ["40", "41", "42"], "the one heard longest ago first"
    receiver.datagram_received(V3, ("10.0.0.1", 5000))
    assert [notice.version for notice in told] == ["3"]
    for number in range(6):
        receiver.datagram_received(V3.replace(engine, engine[:-1] + bytes([number + 64])), ("10.0.0.1", 5000))
    receiver.datagram_received(V3, ("10.0.0.1", 5000))
    assert receiver.tally.repeated == 1


def test_a_full_line_is_not_heaped_up():
    told: list[Any] = []
    order = msgspec.structs.replace(ORDER, waiting=3, accesses=ORDER.accesses[:1], sources={"10.0.0.1": [0]})
    receiver = Receiver(order, told.append, monotonic=lambda: 1.0)
    for number in range(5):
        data = octets(v2c.SNMPv2TrapPDU(), UPTIME, TRAP, ("1.3.6.1.2.1.2.2.1.1.7", v2c.Integer(number)))
        receiver.datagram_received(data, ("10.0.0.1", 5000))
    assert len(told) == 3
    assert receiver.tally.dropped == {Why.BUSY: 2}
    receiver.kept(pipe.Kept(told[0].id, stored=True))
    receiver.datagram_received(octets(v2c.SNMPv2TrapPDU(), UPTIME, TRAP), ("::ffff:10.0.0.1", 5000, 0, 0))
    assert len(told) == 4


def test_no_secret_stands_in_what_is_handed_on():
    found = read(GOOD, [b"site"], lambda _: None)
    assert isinstance(found, Heard)
    assert "site" not in repr(found._replace(respond=None))


HEAD = "site: s-1\nagent: a-1\nshard: 0\nsecret: x\nbroker: {host: h}\n"


def test_credentials_of_traps_and_the_place_to_listen_are_checked_with_their_place():
    with pytest.raises(SettingError, match=r":6:23: there is no credential `flor`; did you mean `floor`\?"):
        read_settings(Settings, HEAD + "traps: {credentials: [flor]}\ncredentials: {floor: {community: x}}\n", "it")
    with pytest.raises(SettingError, match="`here` is no IP address to listen on"):
        read_settings(Settings, HEAD + "traps: {address: here}\n", "it")
