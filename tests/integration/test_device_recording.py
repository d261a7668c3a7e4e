"""A recorded device plays back as the same device, and says nothing of whose it is."""

from __future__ import annotations

import asyncio

import pytest

from agent.polling.contact import Contact
from agent.profiles.files import load, shipped
from agent.reading import Happening, Reading
from agent.snmp.opening import opener
from agent.snmp.session import SnmpError
from agent.support.recording import Recording, record
from forewarn.demo.responder import Device, Mood, Responder
from tests.clocks import SteppedClock
from tests.polling import RECORDINGS, recorded, target

PROFILES = sorted(shipped())


def taken(device: Device, profiles=None, **kwargs) -> Recording:
    return asyncio.run(
        record(
            target(device, **kwargs),
            profiles or shipped(),
            opener=lambda wrap: opener(wrap=wrap),
            clock=SteppedClock(),
        )
    )


def polled(device: Device, profile: str | None = None) -> Reading:
    contact = Contact(target(device, profile=profile), shipped(), open_session=opener(), clock=SteppedClock())

    async def once() -> list[Reading | Happening]:
        try:
            return await contact.poll()
        finally:
            contact.close()

    return next(item for item in asyncio.run(once()) if isinstance(item, Reading))


def told(reading: Reading) -> dict[tuple[str, str, str], float | None]:
    found = dict(zip(reading.shape.columns(), reading.values, strict=True))
    return {name: value for name, value in found.items() if name[2] not in ("rtt_seconds", "poll_seconds")}


def unnamed(reading: Reading) -> dict[tuple[str, str, str], float | None]:
    """Channels by number: their names have stand-ins in a recording."""
    numbers: dict[str, str] = {}
    return {
        (table, numbers.setdefault(name, str(len(numbers))) if table == "channel" else name, field): value
        for (table, name, field), value in told(reading).items()
    }


@pytest.mark.parametrize("profile", PROFILES)
def test_a_recording_plays_back_as_the_same_device(profile):
    with Responder() as responder:
        device = recorded(responder, profile)
        here = polled(device)
        made = taken(device)
        again = polled(responder.add("\n".join(made.lines)))
    assert again.ok
    assert again.shape.profile == profile, "what decided the match is in the recording too"
    assert unnamed(again) == unnamed(here)
    (reading,) = (item for item in made.items if isinstance(item, Reading))
    assert unnamed(reading) == unnamed(here), "the record beside it is that of the recording"
    assert device.sets == 0


def test_no_name_serial_or_address_is_left_and_each_has_one_stand_in():
    text = (RECORDINGS / "switch.generic.snmprec").read_text()
    secrets = [
        "1.3.6.1.2.1.1.4.0|4|Wang Li, wang@customer.example",
        "1.3.6.1.2.1.1.1.0|4|Acme switch-1 of 10.9.8.7 (SW-SAMPLE-1, 3C-8C-F8-01-02-03)",
        "1.3.6.1.2.1.17.4.3.1.2.60.140.248.1.2.3|2|1",
        "1.3.6.1.2.1.17.4.3.1.3.60.140.248.1.2.3|2|3",
        "1.3.6.1.2.1.17.1.4.1.2.1|2|1",
    ]
    with Responder() as responder:
        made = taken(responder.add("\n".join([text, *secrets])))
    whole = "\n".join(made.lines)
    for secret in (
        "switch-1",
        "cabinet 3",
        "Wang",
        "customer",
        "SW-SAMPLE",
        "10.9.8.7",
        "3C-8C-F8",
        "60.140.248.1.2.3",
    ):
        assert secret not in whole, secret
    assert "1.3.6.1.2.1.1.1.0|4|Acme NAME0001 of 192.0.2.1 (SERIAL00001, 00-00-5E-00-53-00)" in made.lines
    assert "1.3.6.1.2.1.47.1.1.1.1.11.1|4|SERIAL00001" in made.lines
    assert "1.3.6.1.2.1.17.4.3.1.2.0.0.94.0.83.0|2|1" in made.lines
    inventory = next(item for item in made.items if isinstance(item, Happening)).text
    assert inventory["name"] == "NAME0001"
    assert '"mac":"00:00:5e:00:53:00"' in inventory["neighbours"]
    assert made.replaced == {"address": 1, "contact": 1, "location": 1, "mac": 1, "name": 1, "serial": 1}
    assert "# Replaced by stand-ins: 1 address, 1 contact, 1 location, 1 mac, 1 name, 1 serial." in made.lines


def test_the_octets_of_a_mac_address_and_the_names_of_channels_are_replaced():
    mine = load(
        """
id: mine
kind: recorder
match: {priority: 99}
inventory: {mac: {oid: 1.3.6.1.4.1.1.1.0}}
tables:
  - table: channel
    src: a test
    rows: 1.3.6.1.4.1.1.3
    label: [1.3.6.1.4.1.1.2]
    columns: {status: {oid: 1.3.6.1.4.1.1.3, type: status, codes: {1: ok}}}
""",
        "mine.yaml",
    )
    text = """
1.3.6.1.2.1.1.3.0|67|100
1.3.6.1.4.1.1.1.0|4x|3c8cf8010203
1.3.6.1.4.1.1.2.1|4|Vault of the bank
1.3.6.1.4.1.1.3.1|2|1
"""
    with Responder() as responder:
        made = taken(responder.add(text), {"mine": mine})
    assert "1.3.6.1.4.1.1.1.0|4x|00005e005300" in made.lines
    (reading,) = (item for item in made.items if isinstance(item, Reading))
    assert told(reading)["channel", "CHANNEL0000000001", "status"] == 0


def test_a_device_that_does_not_answer_is_not_recorded():
    with Responder() as responder:
        device = recorded(responder, "generic")
        device.mood = Mood.SILENT
        with pytest.raises(SnmpError, match="did not answer within"):
            taken(device)


def test_a_subtree_without_an_end_is_left_out_and_named():
    with Responder() as responder:
        device = recorded(responder, "generic")
        for row in range(1, 4200):
            device.set(f"1.3.6.1.2.1.47.1.1.1.1.2.{row}", 4, "slot")
        made = taken(device)
    assert made.missing == ["1.3.6.1.2.1.47.1.1.1.1.2"]
    assert "# Not walked, it has no end: 1.3.6.1.2.1.47.1.1.1.1.2" in made.lines
